import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { explainWriteError, hashFile, writeFileBeside } from './write-beside.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'attune-write-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('hashes what it writes', async () => {
  const path = join(folder, 'abc');
  const written = await writeFileBeside(path, async (write) => {
    await write('a');
    await write(Buffer.from('bc'));
  });
  // sha256 of "abc", from FIPS 180-2
  expect(written).toEqual({ bytes: 3, sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' });
  expect(await hashFile(path)).toEqual(written);
});

it('says in a sentence why nothing could be written', () => {
  const error = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
  expect((explainWriteError(error, 'out/model.safetensors') as Error).message).toBe(
    'cannot write out/model.safetensors: the disk is full; free some space and try again',
  );
  const other = new Error('loss is NaN');
  expect(explainWriteError(other, 'x')).toBe(other);
});

// A file-size limit makes the system refuse half way through, as a full disk does.
it.skipIf(process.platform === 'win32')('leaves the old file and no temporary when the system refuses half way', async () => {
  const path = join(folder, 'limited');
  await writeFile(path, 'old');
  const script = join(folder, 'script.ts');
  await writeFile(
    script,
    `import { writeFileBeside } from ${JSON.stringify(join(import.meta.dirname, 'write-beside.ts'))};
     await writeFileBeside(process.argv[2], (write) => write(new Uint8Array(1 << 20))).catch((error) => console.log(error.message));`,
  );
  const { stdout } = await promisify(execFile)('sh', ['-c', 'ulimit -f 8; exec "$0" "$@"', process.execPath, script, path]);
  expect(stdout).toContain(`cannot write ${path}: the file would be larger than this disk or shell allows`);
  expect(await readFile(path, 'utf8')).toBe('old');
  expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});
