/** Files killed at every tensor, and damaged in every place: what comes of them in the end is what one go makes. */
import { execFile } from 'node:child_process';
import { appendFile, cp, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { GgufType } from './gguf-layout.ts';
import { about, tinyConfigs, tinyFolder } from './gguf-testing.ts';
import { writeGguf } from './gguf.ts';
import { withJournal } from './journal.ts';
import { fillModelFolder, openModelFolder } from './model-folder.ts';
import { type Piece, writeAtOnce, type WriteFile } from './pieces.ts';
import type { TensorSource } from './safetensors.ts';
import { hashFile } from './write-beside.ts';

let root: string;
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'attune-journal-'))));
afterAll(() => rm(root, { recursive: true }));

const HEAD = Buffer.from('the head of the file');
/** Nine of other sizes each, one empty, in two parts. */
const pieces = (made: string[] = []): Piece[] =>
  Array.from({ length: 9 }, (_, i) => ({
    name: `tensor ${i}`,
    bytes: 700 * i,
    make: async () => {
      made.push(`tensor ${i}`);
      return [Buffer.alloc(300 * i, 65 + i), Buffer.alloc(400 * i, 97 + i)];
    },
  }));

/** What was found and what was made. */
async function write(folder: string, wanted = pieces()): Promise<{ kept: number; made: number; bytes: number; sha256: string }> {
  const counts = { kept: 0, made: 0 };
  const written = await withJournal(join(folder, 'journal'), (kept) => void counts[kept ? 'kept' : 'made']++, (writeOn) => writeOn(join(folder, 'file'), HEAD, wanted));
  expect(await hashFile(join(folder, 'file'))).toEqual(written);
  return { ...counts, ...written };
}

const fresh = () => mkdtemp(join(root, 'case-'));
const whole = async () => writeAtOnce(join(await fresh(), 'whole'), HEAD, pieces());

/** Writes the same in a process of its own, which kills itself before it makes the `at`th tensor. */
async function writeElsewhere(folder: string, at: number, limit = 'unlimited'): Promise<{ stdout: string; signal?: string }> {
  const script = join(root, 'script.ts');
  await writeFile(
    script,
    `import { withJournal } from ${JSON.stringify(join(import.meta.dirname, 'journal.ts'))};
     const [folder, at] = [process.argv[2], Number(process.argv[3])];
     const pieces = Array.from({ length: 9 }, (_, i) => ({ name: \`tensor \${i}\`, bytes: 700 * i, make: async () => {
       if (i === at) process.kill(process.pid, 'SIGKILL');
       return [Buffer.alloc(300 * i, 65 + i), Buffer.alloc(400 * i, 97 + i)];
     } }));
     await withJournal(folder + '/journal', () => {}, (write) => write(folder + '/file', Buffer.from('the head of the file'), pieces)).catch((error) => console.log(error.message));`,
  );
  const command = [`ulimit -f ${limit}; exec "$0" "$@"`, process.execPath, '--disable-warning=ExperimentalWarning', script, folder, String(at)];
  return promisify(execFile)('sh', ['-c', ...command]).catch((error: { stdout: string; signal: string }) => error);
}

it.skipIf(process.platform === 'win32')('goes on after a kill at any tensor, even again and again, and ends in the same bytes', async () => {
  const { sha256 } = await whole();
  const folder = await fresh();
  for (const at of [0, 3, 4, 8]) {
    expect(await writeElsewhere(folder, at)).toMatchObject({ signal: 'SIGKILL' });
    const copy = await fresh();
    await cp(folder, copy, { recursive: true });
    expect(await write(copy)).toMatchObject({ kept: at, made: 9 - at, sha256 });
  }
});

it('reads a journal up to a torn line and writes on from there', async () => {
  const { sha256 } = await whole();
  const folder = await fresh();
  await write(folder);
  const journal = await readFile(join(folder, 'journal'), 'utf8');
  const lines = journal.split('\n').slice(0, -1);
  for (const torn of [`${lines.slice(0, 5).join('\n')}\n${lines[5]!.slice(0, 40)}`, `${lines.slice(0, 5).join('\n')}\n${'\0'.repeat(60)}\n${lines[6]}\n`]) {
    await writeFile(join(folder, 'journal'), torn);
    const made: string[] = [];
    expect(await write(folder, pieces(made))).toMatchObject({ kept: 5, made: 4, sha256 });
    expect(made).toEqual(['tensor 5', 'tensor 6', 'tensor 7', 'tensor 8']);
    expect(await readFile(join(folder, 'journal'), 'utf8')).toBe(journal);
  }
});

it('believes no byte that is not what the journal says', async () => {
  const { sha256, bytes } = await whole();
  const damaged = async (damage: (folder: string) => Promise<unknown>) => {
    const folder = await fresh();
    await write(folder);
    await damage(folder);
    return write(folder);
  };
  const flip = (at: number) => async (folder: string) => {
    const all = await readFile(join(folder, 'file'));
    all[at]! ^= 1;
    await writeFile(join(folder, 'file'), all);
  };
  expect(await damaged(async () => {})).toMatchObject({ kept: 9, made: 0, sha256 });
  expect(await damaged(flip(3))).toMatchObject({ kept: 0, made: 9, sha256 }); // the head
  expect(await damaged(flip(HEAD.length + 700 * (1 + 2) + 5))).toMatchObject({ kept: 3, made: 6, sha256 });
  expect(await damaged((folder) => truncate(join(folder, 'file'), bytes - 1))).toMatchObject({ kept: 8, made: 1, sha256 });
  expect(await damaged((folder) => appendFile(join(folder, 'file'), 'what was being written'))).toMatchObject({ kept: 9, made: 0, sha256 });
  expect(await damaged((folder) => rm(join(folder, 'file')))).toMatchObject({ kept: 0, made: 9, sha256 });
  expect(await damaged((folder) => rm(join(folder, 'journal')))).toMatchObject({ kept: 0, made: 9, sha256 });
});

it('makes anew what has another head, name or size than before', async () => {
  const folder = await fresh();
  await write(folder);
  const other = pieces();
  other[4] = { ...other[4]!, name: 'renamed' };
  expect(await write(folder, other)).toMatchObject({ kept: 4, made: 5 });
  other[6] = { ...other[6]!, bytes: 2, make: async () => [Buffer.from('ab')] };
  expect(await write(folder, other)).toMatchObject({ kept: 6, made: 3 });
  expect((await stat(join(folder, 'file'))).size).toBe(HEAD.length + 700 * (36 - 6) + 2);
});

/** What reads the `at`th tensor fails, as a kill would end it there. */
const failingAt = (tensors: TensorSource[], at: number): TensorSource[] => {
  let reads = 0;
  return tensors.map((tensor) => ({ ...tensor, read: () => (++reads === at ? Promise.reject(new Error('cut off')) : tensor.read()) }));
};

it('brings a model in shards, and a GGUF file of each type, to the bytes of one go', async () => {
  const source = await tinyFolder(root, 'model', { ...tinyConfigs.llama!, hidden_size: 256, intermediate_size: 512, num_hidden_layers: 2 });
  const model = await openModelFolder(source);
  const tensors = [...model.tensors.values()].map(({ name, shape }): TensorSource => ({ name, shape, dtype: 'F32', read: () => model.read(name) }));
  const shards = (folder: string, from: TensorSource[], writeFile?: WriteFile) => fillModelFolder(folder, { config: model.config, generationConfig: null, tensors: from }, { shardBytes: 600_000, writeFile });
  const gguf = (type: GgufType) => (folder: string, from: TensorSource[], writeFile?: WriteFile) =>
    writeGguf(join(folder, 'model.gguf'), { config: model.config, tokenizerFolder: source, about: about('tiny'), type, tensors: from }, writeFile);
  for (const make of [shards, ...(['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_k_m'] as const).map(gguf)]) {
    const [once, cut] = [await fresh(), await fresh()];
    const expected = await make(once, tensors);
    const kept: boolean[] = [];
    const go = (from: TensorSource[]) => withJournal<unknown>(join(root, `${basename(cut)}.journal`), (isKept) => void kept.push(isKept), (writeFile) => make(cut, from, writeFile));
    for (const at of [6, 8]) await expect(go(failingAt(tensors, at))).rejects.toThrow('cut off');
    kept.length = 0;
    expect(await go(tensors)).toEqual(expected);
    expect(kept).toEqual(tensors.map((_, i) => i < 12));
    for (const name of await readdir(once)) expect(await hashFile(join(cut, name)), name).toEqual(await hashFile(join(once, name)));
  }
  await model.close();
});

// A file-size limit makes the system refuse half way through, as a full disk does.
it.skipIf(process.platform === 'win32')('says in a sentence why it could not go on, keeps what is whole, and goes on with it', async () => {
  const folder = await fresh();
  // 16 blocks of 512 bytes: the head and the tensors 0 to 4 are 7,020
  const { stdout } = await writeElsewhere(folder, -1, '16');
  expect(stdout).toContain(`cannot write ${join(folder, 'file')}: the file would be larger than this disk or shell allows`);
  expect((await readdir(folder)).sort()).toEqual(['file', 'journal']);
  expect(await write(folder)).toMatchObject({ kept: 5, made: 4, sha256: (await whole()).sha256 });
});
