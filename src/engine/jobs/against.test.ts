/** Two models on one text: log-probs are those each gives alone, divergence is that of the whole distributions, and a model does not diverge from itself. */
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { LogprobsJob } from '../../shared/job.ts';
import type { LogprobsResult } from '../../shared/job-results.ts';
import { packSequences } from '../data/pack.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { openModel } from '../open-model.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import { rowKl } from './divergence.ts';
import { logprobs } from './inspect.ts';

const at = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
// the other model has no tokenizer of its own: its weights beside those of the first
const tied = mkdtempSync(join(tmpdir(), 'attune-against-'));
for (const file of readdirSync(at('fixtures/models/llama'))) copyFileSync(join(at('fixtures/models/llama'), file), join(tied, file));
for (const file of ['config.json', 'model.safetensors']) copyFileSync(join(at('fixtures/models/llama-tied'), file), join(tied, file));
afterAll(() => rmSync(tied, { recursive: true }));

const folders: Record<string, string> = { llama: at('fixtures/models/llama'), tied, other: at('resources/models/attune-base') };
const folder = (name: string): { folder: string } => ({ folder: folders[name] });
const text = 'The dog runs along a small river';
const read = (model: string, against?: string): Promise<LogprobsResult> =>
  logprobs(LogprobsJob.parse({ type: 'logprobs', model: folder(model), against: against && folder(against), text }), createReferenceDevice());

const close = (a: (number | null)[], b: (number | null)[]): void => a.forEach((value, i) => (value === null ? expect(b[i]).toBeNull() : expect(value).toBeCloseTo(b[i]!, 4)));

test('each model has the log-probs it has alone, and the divergence is that of both distributions', async () => {
  const both = await read('llama', 'tied');
  const [own, other] = [await read('llama'), await read('tied')];
  expect(both.ids).toEqual(own.ids);
  close(both.logprobs, own.logprobs);
  close(both.against!.logprobs, other.logprobs);
  const rows = await Promise.all(['llama', 'tied'].map(async (name) => {
    const tokenizer = await loadTokenizer(folder(name).folder);
    const { model } = await openModel(createReferenceDevice(), folder(name), tokenizer, { storage: 'f32', trainable: 'none' });
    return model.logits(packSequences([{ tokens: Int32Array.from(own.ids), loss: new Uint8Array(own.ids.length).fill(1) }]));
  }));
  const V = rows[0].length / (own.ids.length - 1);
  expect(both.against!.kl[0]).toBeNull();
  both.against!.kl.slice(1).forEach((kl, i) => expect(kl).toBeCloseTo(rowKl(rows[0].subarray(i * V, (i + 1) * V), rows[1].subarray(i * V, (i + 1) * V)), 4));
  expect(both.against!.kl.slice(1).every((kl) => kl! > 0)).toBe(true);
  expect(both.against!.likeliest.slice(1).some((of) => of![0] !== of![1])).toBe(true);
});

test('a model does not diverge from itself', async () => {
  const { logprobs: own, against } = await read('llama', 'llama');
  expect(against!.logprobs).toEqual(own);
  expect(against!.kl.slice(1).every((kl) => Math.abs(kl!) < 1e-12)).toBe(true);
  expect(against!.likeliest.slice(1).every((of) => of![0] === of![1])).toBe(true);
});

test('models that cut the text into other tokens are refused', async () => {
  await expect(read('llama', 'other')).rejects.toThrow(/--against: the other model cuts this text into .* tokens.*: only models with the same tokenizer/);
});
