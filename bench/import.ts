/** A dataset file from outside → checked rows, as the import screen reads them: MB/s and rows/s. */
import { statSync } from 'node:fs';
import { readDataset } from '../src/main/datasets/import.ts';
import { alternate, type Bench } from './measure.ts';
import { instructions } from './tokenize.ts';

export async function benchImport(bench: Bench, only: string): Promise<void> {
  if (!'import'.includes(only) && !only.startsWith('import')) return;
  let rows = 0;
  const [seconds] = await alternate(bench.clock, [async () => {
    rows = 0;
    for await (const row of readDataset(instructions, {})) if (!('problem' in row)) rows++;
  }], { least: 5, seconds: 0 });
  bench.report('import.read.instructions.rows_per_s', rows / seconds, 'rows/s');
  bench.report('import.read.instructions.mb_per_s', statSync(instructions).size / seconds / 1e6, 'MB/s');
}
