/** A dataset file from outside → checked rows, as the import screen reads them: MB/s of the file as it lies on disk (transcripts: gzip) and rows/s. */
import { statSync } from 'node:fs';
import { alternate, type Bench } from './measure.ts';
import { files, readExamples } from './rows.ts';

export async function benchImport(bench: Bench, only: string): Promise<void> {
  for (const [name, path] of Object.entries(files)) {
    if (!`import.read.${name}`.includes(only)) continue;
    let rows = 0;
    const [seconds] = await alternate(bench.clock, [async () => {
      rows = (await readExamples(path, bench.options.toy ? 1 : Infinity)).length;
    }], { seconds: 0 });
    bench.report(`import.read.${name}.rows_per_s`, rows / seconds, 'rows/s');
    bench.report(`import.read.${name}.mb_per_s`, statSync(path).size / seconds / 1e6, 'MB/s');
  }
}
