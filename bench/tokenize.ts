/** Text → ids, and rows → sequences through a template: MB/s and rows/s on the instructions that ship with Attune, with its own tokenizer. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tokenizeExample } from '../src/engine/data/tokenize.ts';
import { loadTokenizer } from '../src/engine/tokenizer/tokenizer.ts';
import { readDataset } from '../src/main/datasets/import.ts';
import type { Example } from '../src/shared/dataset.ts';
import { alternate, type Bench } from './measure.ts';

export const instructions = fileURLToPath(new URL('../resources/datasets/instructions.train.jsonl', import.meta.url));

export async function benchTokenize(bench: Bench, only: string): Promise<void> {
  if (!'tokenize'.includes(only) && !only.startsWith('tokenize')) return;
  const tokenizer = await loadTokenizer(fileURLToPath(new URL('../resources/models/attune-base', import.meta.url)));
  const text = readFileSync(instructions, 'utf8');
  const lines = text.trim().split('\n');
  const [encode] = await alternate(bench.clock, [() => lines.forEach((line) => void tokenizer.encode(line))], { least: 5, seconds: 0 });
  bench.report('tokenize.encode.instructions.mb_per_s', Buffer.byteLength(text) / encode / 1e6, 'MB/s');
  const examples: Example[] = [];
  for await (const row of readDataset(instructions, {})) if (!('problem' in row)) examples.push(row.example);
  const settings = { template: 'alpaca', tokenizer, maxLength: 512, completionOnlyLoss: true } as const;
  const [rows] = await alternate(bench.clock, [() => examples.forEach((example) => void tokenizeExample(example, settings))], { least: 5, seconds: 0 });
  bench.report('tokenize.rows.instructions.rows_per_s', examples.length / rows, 'rows/s');
}
