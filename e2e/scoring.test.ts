/** Reward models and classifiers on the command line, with a tiny model: rankings and labelled texts imported, trained on, scored, exported. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ScoreResult } from '../src/shared/job-results.ts';
import { createWorkplace, ROOT, type Workplace } from './attune.ts';

const MODEL = join(ROOT, 'fixtures', 'models', 'llama');
let place: Workplace;

/** Texts of capitals and of small letters: what a classifier can tell at once. */
const labelled = Array.from({ length: 48 }, (_, i) => {
  const word = String.fromCharCode(97 + (i % 20)).repeat(3 + (i % 3));
  return i % 2 === 0 ? { text: word, label: 'small' } : { text: word.toUpperCase(), label: 'capital' };
});
const ranked = Array.from({ length: 24 }, (_, i) => ({ prompt: `Say ${i}.`, responses: [`${i}`, `${i} ${i}`, 'no no no no'] }));

beforeAll(async () => {
  place = createWorkplace();
  const jsonl = (name: string, rows: object[]) => place.write(name, rows.map((row) => JSON.stringify(row)).join('\n'));
  for (const [name, rows] of [['labels', labelled], ['rankings', ranked]] as const) {
    const imported = await place.attune(['import', jsonl(`${name}.jsonl`, rows), '--name', name]);
    expect(imported.code, imported.stderr).toBe(0);
  }
  const common = { model: MODEL, perDeviceTrainBatchSize: 8, maxLength: 64, evalRatio: 0.2, optimizer: { learningRate: 5e-3 } };
  for (const recipe of [
    { method: 'classify', name: 'cased', dataset: 'labels', numTrainEpochs: 6 },
    { method: 'reward', name: 'short', dataset: 'rankings', numTrainEpochs: 4, lora: { r: 4, loraAlpha: 8 } },
  ]) {
    const run = await place.attune(['train', place.write(`${recipe.name}.yaml`, { ...common, ...recipe })]);
    expect(run.code, run.stderr).toBe(0);
  }
});
afterAll(() => place.remove());

it('a classifier tells its labels apart and shows which it takes for which', async () => {
  const scored = await place.attune(['score', 'cased', 'labels', '--json']);
  const result = JSON.parse(scored.stdout) as ScoreResult;
  expect(result.labels).toEqual(['capital', 'small']);
  expect(result.accuracy).toBeGreaterThan(0.9);
  const { stdout } = await place.attune(['score', 'cased', 'labels']);
  expect(stdout).toMatch(/label \\ answered\s+capital\s+small/);
});

it('a reward model under LoRA ranks; a dataset of the wrong kind is refused with what is wanted', async () => {
  const scored = await place.attune(['score', 'short', 'rankings', '--json']);
  const result = JSON.parse(scored.stdout) as ScoreResult;
  expect(result).toMatchObject({ rows: 24, report: { type: 'reward', pairs: 72 } });
  expect(result.accuracy).toBeGreaterThan(0.9);
  const refused = await place.attune(['train', place.write('wrong.yaml', { method: 'dpo', model: MODEL, dataset: 'rankings' })]);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('it has ranking rows, and dpo trains on preference pairs (prompt, chosen, rejected)');
});

it('goes out as transformers and PEFT want it, and not as GGUF', async () => {
  expect((await place.attune(['export', 'cased', '--format', 'safetensors', '--type', 'f32', '--out', 'cased'])).code).toBe(0);
  const config = JSON.parse(readFileSync(join(place.folder, 'cased', 'config.json'), 'utf8')) as Record<string, unknown>;
  expect(config).toMatchObject({ architectures: ['LlamaForSequenceClassification'], id2label: { 0: 'capital', 1: 'small' }, pad_token_id: 0 });
  expect((await place.attune(['export', 'short', '--format', 'peft', '--type', 'f32', '--out', 'short'])).code).toBe(0);
  const adapter = JSON.parse(readFileSync(join(place.folder, 'short', 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
  expect(adapter).toMatchObject({ task_type: 'SEQ_CLS', modules_to_save: ['score'] });
  const gguf = await place.attune(['export', 'cased', '--format', 'gguf', '--type', 'f32', '--out', 'gguf']);
  expect(gguf.stderr).toContain('has no place in GGUF; export it as safetensors');
});
