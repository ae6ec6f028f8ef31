/**
 * A file mapped into memory, for weights that are used as they are stored (Device.adopt). It reads nothing by itself, and whoever wants to
 * convert a tensor reads the file instead: a read that fails is a sentence, a mapped page that is gone ends the process. So a file is mapped
 * only for what lies in it for good, its size is checked again whenever a tensor is taken from it, and what is left is a file cut short in
 * place while a model runs on it. A file that is replaced (a new one renamed over it) stays as it was for those who have it.
 */
import { loadAddon } from './native.ts';

export type FileMapping = {
  readonly handle: unknown;
  /** Lets the file go once no tensor lies in it. */
  close(): void;
};

/** The whole of an open file; null where it cannot be mapped (Windows, some network drives, kernels that are not built): it is read then. */
export function mapFile(fd: number): FileMapping | null {
  let addon: ReturnType<typeof loadAddon>;
  try {
    addon = loadAddon();
  } catch {
    return null; // a device that needs the kernels says so itself
  }
  const handle = addon.map(fd);
  return handle && { handle, close: () => addon.unmap(handle) };
}
