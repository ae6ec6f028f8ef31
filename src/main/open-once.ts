/**
 * One workbench a library: a file in the library says which process has it open and where, so that a second start leads there. Commands of the
 * terminal may work on the same library all the while. The file holds the URL's token, so only its owner may read it.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, OWNER } from './process-identity.ts';

/** `url`: null in the desktop, and in the moment before the host listens. */
export type OpenWorkbench = { owner: string; shell: 'electron' | 'browser'; url: string | null };

export type Claim = { tellUrl(url: string): void; release(): void };

/** Either this process has the library now, or another one does. */
export function claimLibrary(folder: string, shell: OpenWorkbench['shell']): Claim | OpenWorkbench {
  const file = join(folder, 'workbench.json');
  const mine: OpenWorkbench = { owner: OWNER, shell, url: null };
  mkdirSync(folder, { recursive: true });
  for (;;) {
    try {
      writeFileSync(file, JSON.stringify(mine), { flag: 'wx', mode: 0o600 });
      return {
        tellUrl: (url) => writeFileSync(file, JSON.stringify({ ...mine, url })),
        release: () => rmSync(file, { force: true }),
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const other = read(file);
    if (other && isAlive(other.owner)) return other;
    rmSync(file, { force: true }); // of a process that was killed
  }
}

function read(file: string): OpenWorkbench | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as OpenWorkbench;
  } catch {
    return null;
  }
}
