/**
 * The CUDA kernels compile: for every GPU they are meant for where nvcc is (a minute or two), and the driver's functions are declared as the toolkit's
 * cuda.h has them (native/cuda/check_driver.cu). That they compute rightly is conformance.test.ts's, on the emulated driver; no GPU has run them.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { findNvcc } from '../../scripts/build-cuda.mjs';
import { ROOT } from '../attune.ts';

test('npm run build:cuda compiles the kernels where nvcc is, and says what is missing where it is not', { timeout: 1_200_000 }, async () => {
  const run = promisify(execFile)(process.execPath, [join(ROOT, 'scripts', 'build-cuda.mjs')], { cwd: ROOT });
  if (!findNvcc()) return expect(run).rejects.toMatchObject({ stderr: expect.stringContaining('install the CUDA toolkit') as string });
  expect((await run).stdout).toMatch(/^CUDA kernels (built in \d+ s with .+|are up to date)\.$/m);
  expect(existsSync(join(ROOT, 'build', 'native', 'attune.fatbin'))).toBe(true);
});
