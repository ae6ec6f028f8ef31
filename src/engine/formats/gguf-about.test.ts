/** What GGUF files say of themselves: every key gguf-py knows, there and back, and whose word goes before whose. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { About } from '../../shared/export-about.ts';
import { aboutEntries, aboutOf, readAbout } from './gguf-about.ts';
import { writeGgufFile } from './gguf-encode.ts';
import { openGgufTensors } from './gguf-reader.ts';

let root: string;
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'attune-about-'))));
afterAll(() => rm(root, { recursive: true }));

const { known } = JSON.parse(await readFile(fileURLToPath(new URL('../../../fixtures/gguf/metadata.json', import.meta.url)), 'utf8')) as { known: { general: string[] } };
const reference = (name: string) => ({ name, author: 'a', version: 'v1', organization: 'o', description: 'd', url: 'u', doi: '10/1', uuid: 'x', repoUrl: 'r' });
const FULL: Required<About> = {
  author: 'A. Person', organization: 'Lab', version: 'v3.2', description: '강을 말한다', quantizedBy: 'Q', license: 'other', licenseName: 'River', licenseLink: 'https://example.org', url: 'https://u', doi: '10/2',
  uuid: 'y', repoUrl: 'https://r', sourceUrl: 'https://s', sourceDoi: '10/3', sourceUuid: 'z', sourceRepoUrl: 'https://t', languages: ['en', 'ko'], tags: ['rivers'],
  baseModels: [reference('one'), reference('two')], datasets: [reference('talk')],
};
/** Written by llama.cpp's own tools for who samples, or by gguf.ts. */
const OTHERS = /^general\.(sampling\.|type$|architecture$|quantization_version$|alignment$|file_type$)/;

async function readBack(about: About) {
  const path = join(root, 'about.gguf');
  await writeGgufFile(path, aboutEntries({ ...about, name: 'river-chat', baseName: 'river', parameters: 2e9 }), []);
  const file = await openGgufTensors(path);
  await file.close();
  return file.metadata;
}

it('has every general key of gguf-py, and reads it back', async () => {
  const metadata = await readBack(FULL);
  const names = new Set([...metadata.keys()].map((key) => key.replace(/\.\d+\./, '.{id}.')));
  expect(known.general.filter((key) => !OTHERS.test(key) && !names.has(key))).toEqual([]);
  expect(readAbout(metadata)).toEqual(FULL);
  expect(metadata.get('general.finetune')).toBe('chat');
});

it('leaves out what is not known, and what another program wrote in another type', async () => {
  const metadata = await readBack({});
  expect([...metadata.keys()]).toEqual(['general.name', 'general.basename', 'general.finetune', 'general.size_label', 'general.version']);
  const odd = new Map<string, unknown>([['general.author', 7], ['general.tags', 'rivers'], ['general.base_model.count', 2], ['general.base_model.1.name', 'two'], ['general.dataset.count', -1]]);
  expect(readAbout(odd)).toEqual({ baseModels: [{ name: 'two' }] });
});

it('of a model that was not trained is its base’s, the person’s word first; a licence goes with its name and link', async () => {
  const job = { name: 'river', about: { baseName: 'river', base: 'folder', method: null, datasets: [], stated: FULL, given: { author: 'Me', license: 'mit', tags: ['mine'] } } };
  const { licenseName: _, licenseLink: __, ...rest } = FULL;
  expect(await aboutOf(job)).toEqual({ ...rest, author: 'Me', license: 'mit', tags: ['rivers', 'mine', 'attune', 'text-generation'] });
});

it('of a trained one has the licence and the languages of its base, which it names; of a GGUF base the file says so itself', async () => {
  const path = join(root, 'base.gguf');
  await writeGgufFile(path, aboutEntries({ ...FULL, name: 'river', baseName: 'river', parameters: 2e9 }), []);
  const job = (stated: About, base: string) => ({ name: 'mine', about: { baseName: 'river', base, method: 'sft', datasets: ['talk'], stated, given: { author: 'Me' } } });
  const expected = {
    author: 'Me', license: 'other', licenseName: 'River', licenseLink: 'https://example.org', languages: ['en', 'ko'], tags: ['attune', 'sft', 'text-generation'], datasets: [{ name: 'talk' }],
    baseModels: [{ name: 'river', author: 'A. Person', version: 'v3.2', organization: 'Lab', description: '강을 말한다', url: 'https://u', doi: '10/2', uuid: 'y', repoUrl: 'https://r' }],
  };
  expect(await aboutOf(job(FULL, 'folder'))).toEqual(expected);
  expect(await aboutOf(job({}, path))).toEqual(expected);
});
