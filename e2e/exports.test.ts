/** Exports through the command line that are cut off: by a crash, by a power cut, by a change of what they are made from. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readGgufMetadata } from '../src/engine/formats/gguf-reader.ts';
import { createWorkplace, type Outcome, ROOT, tinyModel, type Workplace } from './attune.ts';

let place: Workplace;
beforeAll(() => {
  place = createWorkplace();
  tinyModel(place);
});
afterAll(() => place.remove());

/** `at`: the engine dies when so many tensors are there; in a power cut the command too. */
function exportTo(out: string, format: string[], at?: number, powerCut = false): Promise<Outcome> {
  const hook = pathToFileURL(join(ROOT, 'e2e', 'kill-at-tensor.mjs')).href;
  const env = at === undefined ? {} : { NODE_OPTIONS: `--import ${hook}`, KILL_AT_TENSOR: String(at), ...(powerCut ? { POWER_CUT: '1' } : {}) };
  return place.attune(['export', 'tiny', ...format, '--out', out, '--no-check'], { env });
}

const unfinished = (): string[] => readdirSync(place.folder).filter((name) => name.endsWith('.unfinished'));
/** Every file's bytes by its name, but for the card. */
const filesOf = (out: string): Record<string, string> =>
  Object.fromEntries(readdirSync(join(place.folder, out)).filter((name) => name !== 'README.md').map((name) => [name, readFileSync(join(place.folder, out, name), 'latin1')]));

test.each([['gguf', ['--format', 'gguf', '--type', 'q4_k_m']], ['safetensors', ['--format', 'safetensors', '--type', 'bf16']]])('%s: after a power cut the same command goes on, to the same bytes', async (name, format) => {
  expect(await exportTo(`${name}-whole`, format)).toMatchObject({ code: 0, stdout: expect.stringContaining(`${name}-whole`) as string });
  expect(await exportTo(`${name}-cut`, format, 5, true)).toMatchObject({ code: null, signal: 'SIGKILL' });
  expect(existsSync(join(place.folder, `${name}-cut`))).toBe(false);
  expect(unfinished()).toEqual([expect.stringMatching(new RegExp(`^\\.${name}-cut\\.[0-9a-f]{12}\\.unfinished$`))]);

  // and again, by a crash of the engine alone
  const crashed = await exportTo(`${name}-cut`, format, 8);
  expect(crashed.code).toBe(1);
  expect(crashed.stderr).toMatch(/goes on with what was written before: 5 tensors are there\n[^]*killed by SIGKILL \(8 of \d+ tensors are kept: the same export, asked for again, goes on with them\)/);

  const resumed = await exportTo(`${name}-cut`, format);
  expect(resumed).toMatchObject({ code: 0, stderr: expect.stringContaining('8 tensors are there') as string });
  expect(filesOf(`${name}-cut`)).toEqual(filesOf(`${name}-whole`));
  expect(unfinished()).toEqual([]);
});

test('what its model was changed under starts anew and says so; into a folder that is there only what is finished is moved', async () => {
  const format = ['--format', 'gguf', '--type', 'f16'];
  mkdirSync(join(place.folder, 'mine'));
  writeFileSync(join(place.folder, 'mine', 'notes.txt'), 'mine');
  expect((await exportTo('mine', [...format, '--force'], 6)).code).toBe(1);
  const listed = readdirSync(join(place.folder, 'mine'));
  expect(listed.filter((name) => !name.endsWith('.unfinished'))).toEqual(['notes.txt']);

  const weights = join(place.folder, 'tiny', 'model.safetensors');
  utimesSync(weights, statSync(weights).atime, new Date('2020-01-01'));
  const anew = await exportTo('mine', [...format, '--force']);
  expect(anew).toMatchObject({ code: 0, stderr: expect.stringContaining("starts anew: the model's files changed since this export was begun") as string });
  expect(anew.stderr).not.toContain('goes on');
  expect(readdirSync(join(place.folder, 'mine')).sort()).toEqual(['README.md', 'notes.txt', expect.stringMatching(/\.gguf$/)]);
});

test('a model card’s words are GGUF’s keys as gguf-py writes them, go from GGUF to GGUF, and give way to the person’s; the card agrees', async () => {
  const { card, keys } = JSON.parse(readFileSync(join(ROOT, 'fixtures', 'gguf', 'metadata.json'), 'utf8')) as { card: string; keys: Record<string, unknown> };
  place.write(join('tiny', 'README.md'), card);
  const only = (folder: string): string => join(place.folder, folder, readdirSync(join(place.folder, folder)).find((name) => name.endsWith('.gguf'))!);
  const write = async (model: string, out: string, ...more: string[]) => {
    expect(await place.attune(['export', model, '--format', 'gguf', '--type', 'f16', '--out', out, '--no-check', ...more])).toMatchObject({ code: 0 });
    return Object.fromEntries(await readGgufMetadata(only(out)));
  };
  const { 'general.name': _, 'general.tags': tags, ...expected } = keys;
  const first = await write('tiny', 'about');
  expect(first).toMatchObject(expected);
  expect(first['general.tags']).toEqual([...(tags as string[]).slice(0, 2), 'text-generation', 'attune']);
  expect(only('about')).toMatch(/tiny-[\d.]+K-v2\.1-F16\.gguf$/);

  const second = await write(only('about'), 'again', '--author', 'Me', '--license', 'apache-2.0', '--languages', 'ko, de', '--model-version', '3');
  const { 'general.license.name': __, 'general.license.link': ___, ...carried } = expected;
  expect(second).toMatchObject({ ...carried, 'general.author': 'Me', 'general.license': 'apache-2.0', 'general.languages': ['ko', 'de'], 'general.version': '3' });
  expect(second).not.toHaveProperty('general.license.name');
  const front = parse(readFileSync(join(place.folder, 'again', 'README.md'), 'utf8').split('---\n')[1]!) as Record<string, unknown>;
  expect(front).toMatchObject({
    license: 'apache-2.0', language: ['ko', 'de'], author: 'Me', version: '3', base_model: 'some-lab/river-base-2b', datasets: ['some-lab/river-talk', 'https://example.org/data/stones'],
    tags: second['general.tags'], library_name: 'gguf', description: 'Speaks of rivers.', repo_url: 'https://huggingface.co/some-lab/river-2b',
  });
  expect(await place.attune(['export', 'tiny', '--format', 'gguf', '--out', 'x', '--author', ' '])).toMatchObject({ code: 2, stderr: expect.stringContaining('--author') as string });
});
