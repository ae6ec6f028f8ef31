/** Opens the library for one command and closes it after, whatever happens. */
import { closeLibrary, type Library, openLibrary } from '../library.ts';

export async function withLibrary<T>(use: (library: Library) => Promise<T> | T): Promise<T> {
  const library = openLibrary();
  try {
    return await use(library);
  } finally {
    closeLibrary(library);
  }
}
