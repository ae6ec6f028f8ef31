/** Text → ids, and rows → sequences through a template: MB/s and rows/s on real rows (rows.ts), with the embedded model's own tokenizer. */
import { tokenizeExample } from '../src/engine/data/tokenize.ts';
import { loadTokenizer } from '../src/engine/tokenizer/tokenizer.ts';
import { alternate, type Bench } from './measure.ts';
import { files, MODEL, readExamples } from './rows.ts';

/** Rows of a file, at most. */
const ROWS = 1000;

export async function benchTokenize(bench: Bench, only: string): Promise<void> {
  const tokenizer = await loadTokenizer(MODEL);
  for (const name of ['instructions', 'alpaca', 'wiki']) {
    if (!(name in files) || !`tokenize.encode.${name} tokenize.rows.${name}`.includes(only)) continue;
    const examples = await readExamples(files[name], bench.options.toy ? 1 : ROWS);
    const texts = examples.map((example) => (example.kind === 'text' ? example.text : example.kind === 'instruction' ? example.output : ''));
    const [encode] = await alternate(bench.clock, [() => texts.forEach((text) => void tokenizer.encode(text))], { seconds: 0 });
    bench.report(`tokenize.encode.${name}.mb_per_s`, texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / encode / 1e6, 'MB/s');
    const settings = { template: 'alpaca', tokenizer, maxLength: 1024, completionOnlyLoss: true } as const;
    const [rows] = await alternate(bench.clock, [() => examples.forEach((example) => void tokenizeExample(example, settings))], { seconds: 0 });
    bench.report(`tokenize.rows.${name}.rows_per_s`, examples.length / rows, 'rows/s');
  }
}
