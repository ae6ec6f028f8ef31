/** Where what scripts/build-native.mjs and build-cuda.mjs made lies: below the folder with package.json, whether the engine runs from its sources or from the bundle. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const BUILT = join(findRoot(import.meta.dirname), 'build', 'native');

function findRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) || dirname(folder) === folder ? folder : findRoot(dirname(folder));
}
