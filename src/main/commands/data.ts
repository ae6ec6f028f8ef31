/** `attune import`, `datasets` and `show`: rows into the library, and what the trainer will see of them. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { styleText } from 'node:util';
import type { ColumnMapping } from '../../shared/api/datasets.ts';
import { DatasetFormat, type RowProblem, Split, type Template } from '../../shared/dataset.ts';
import type { ShownExample } from '../../shared/job.ts';
import { withExamplesFile } from '../datasets/examples-file.ts';
import { deleteDataset, findDataset, importDataset, listDatasets, listProblems } from '../datasets/index.ts';
import { askEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { print, printJson, table, tell } from '../terminal.ts';
import { UserError } from '../user-error.ts';
import { addTemplateOption, parseCount, readTemplate } from './options.ts';
import { withLibrary } from './with-library.ts';

/** Bad rows told while importing; all of them are kept and told by `attune datasets NAME`. */
const TOLD = 20;

export function addDataCommands(program: Command): void {
  const importCommand = program
    .command('import')
    .description('bring a file of rows into the library')
    .argument('<file>', 'JSON, JSONL, CSV (all also .gz), Parquet or plain text')
    .option('--name <name>', "the dataset's name; by default the file's")
    .addOption(new Option('--format <format>', 'how the file spells its rows; by default found from the first ones').choices(DatasetFormat.options))
    .addOption(new Option('--split <split>', 'what the rows are for').choices(Split.options).default('train'))
    .option('--map <field=column>', 'read this field from that column; may be given again. Columns that are not mapped are then left out', addMapping)
    .option('--show <model>', 'afterwards show the first rows as that model is trained on them')
    .option('--json', 'the outcome as JSON')
    .addHelpText('after', `
A row that cannot be read is told with its line and the reason and left out; the rest is imported.

Formats:
  alpaca             {"instruction": …, "input": …, "output": …}
  prompt-completion  {"prompt": …, "completion": …}
  messages           {"messages": [{"role": "user", "content": …}, …]}
  sharegpt           {"conversations": [{"from": "human", "value": …}, …]}
  preference         {"prompt": …, "chosen": …, "rejected": …}
  hh-rlhf            {"chosen": "\\n\\nHuman: … Assistant: …", "rejected": …}
  unpaired           {"prompt": …, "completion": …, "label": true}, or {"messages": […], "label": true}
  ranking            {"prompt": …, "responses": [best, …, worst]}
  classification     {"text": …, "label": …}
  text               plain text, or {"text": …}

Examples:
  attune import alpaca.json --name alpaca
  attune import held-out.jsonl --name alpaca --split validation
  attune import questions.csv --format alpaca --map instruction=Q --map output=A`);
  addTemplateOption(importCommand).action((file: string, options: ImportFlags) => withLibrary((library) => runImport(library, file, options)));

  program
    .command('datasets')
    .description('list datasets, or tell about one: its rows and what was left out')
    .argument('[name]')
    .option('--delete <name>', 'take a dataset and its rows out of the library')
    .option('--json', 'as JSON')
    .action((name: string | undefined, options: { delete?: string; json?: boolean }) =>
      withLibrary((library) => {
        if (options.delete !== undefined) return deleteDataset(library, options.delete);
        if (name !== undefined) tellDataset(library, name, options.json);
        else if (options.json) printJson(listDatasets(library));
        else tellDatasets(library);
      }),
    );

  const show = program
    .command('show')
    .description('print rows token by token, with those that carry loss marked')
    .argument('<model>')
    .argument('<dataset>', 'library name or file')
    .option('--limit <n>', 'rows', parseCount, 3)
    .option('--max-length <n>', 'tokens a row may have', parseCount, 1024)
    .option('--full-loss', 'as with completionOnlyLoss: false')
    .option('--json', 'tokens, text and mask as JSON')
    .addHelpText('after', `
Marked text is what the model learns to write: answers and the token that ends them. In a terminal it is green; elsewhere it stands in ⟦ ⟧.

Example:
  attune show attune-base alpaca --limit 1`);
  addTemplateOption(show).action((model: string, dataset: string, options: ShowFlags) => withLibrary((library) => runShow(library, model, dataset, options)));
}

type ImportFlags = { name?: string; format?: DatasetFormat; map?: ColumnMapping; split: Split; show?: string; json?: boolean; template?: Template };
type ShowFlags = { limit: number; maxLength: number; fullLoss?: boolean; json?: boolean; template?: Template };

function addMapping(text: string, before: ColumnMapping = {}): ColumnMapping {
  const [, field, column] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (field === undefined) throw new InvalidArgumentError('Expected field=column, as in instruction=Q.');
  return { ...before, [field]: column };
}

async function runImport(library: Library, file: string, { show, json, template, map, ...options }: ImportFlags): Promise<void> {
  const problems: RowProblem[] = [];
  const imported = await importDataset(library, {
    file,
    ...options,
    mapping: map,
    onProgress: (rows) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${rows.toLocaleString('en-US')} rows`);
    },
    onProblem: (problem) => {
      problems.push(problem);
      if (problems.length > TOLD) problems.pop();
      else tell(describeProblem(problem));
    },
  });
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K');
  const told = imported.skipped + imported.warnings;
  if (told > TOLD) tell(`… and ${told - TOLD} more; attune datasets ${imported.name} tells all`);
  if (json) printJson(imported);
  else {
    const left = imported.skipped > 0 ? `, ${imported.skipped} left out` : '';
    const notes = imported.warnings > 0 ? `, ${imported.warnings} to look at` : '';
    print(`${imported.name} (${imported.split}): ${imported.rows} rows imported as ${imported.format}${left}${notes}`);
  }
  if (show !== undefined) await runShow(library, show, imported.name, { limit: 3, maxLength: 1024, template });
}

function tellDatasets(library: Library): void {
  const datasets = listDatasets(library);
  if (datasets.length === 0) return tell('no dataset yet; attune import FILE brings one in');
  const rows = datasets.flatMap((dataset) =>
    dataset.files.map((file) => [dataset.name, file.split, String(file.rows), String(file.skipped), file.format, describeKinds(file.kinds), file.file]),
  );
  print(table([['name', 'split', 'rows', 'left out', 'format', 'kinds', 'file'], ...rows]));
}

function tellDataset(library: Library, name: string, json = false): void {
  const dataset = findDataset(library, name);
  if (!dataset) throw new UserError(`${name}: the library has no dataset of that name`);
  const files = dataset.files.map((file) => ({ ...file, problems: listProblems(library, file, -1) }));
  if (json) return printJson({ ...dataset, files });
  for (const file of files) {
    const source = file.file === '' ? 'made in the editor' : `of ${file.file}, ${file.format}`;
    const hash = file.sha256 === null ? '' : `, sha256 ${file.sha256}`;
    print(`${name} (${file.split}): ${file.rows} rows ${source}, ${describeKinds(file.kinds)}${hash}`);
    for (const problem of file.problems) print(`  ${describeProblem(problem)}`);
  }
}

function describeProblem({ file, line, severity, reason }: RowProblem): string {
  return `${file}:${line}: ${severity === 'skipped' ? 'left out' : 'note'}: ${reason}`;
}

function describeKinds(kinds: Record<string, number>): string {
  const entries = Object.entries(kinds);
  return entries.length === 1 ? entries[0][0] : entries.map(([kind, count]) => `${count} ${kind}`).join(', ');
}

async function runShow(library: Library, name: string, dataset: string, options: ShowFlags): Promise<void> {
  const model = resolveModel(library, name);
  const onProblem = (problem: RowProblem) => tell(`${problem.file}:${problem.line}: ${problem.reason}`);
  const shown = await withExamplesFile(library, dataset, { splits: ['train', 'validation', 'test'], limit: options.limit, onProblem }, (examples) =>
    askEngine<ShownExample[]>({
      type: 'show',
      model: model.path,
      template: readTemplate(options, model),
      maxLength: options.maxLength,
      completionOnlyLoss: !options.fullLoss,
      examples,
      limit: options.limit,
    }),
  );
  if (options.json) return printJson(shown);
  for (const [i, { pieces, truncated }] of shown.entries()) {
    const trained = pieces.filter(({ loss }) => loss).length;
    print(`── ${i + 1}: ${pieces.length} tokens, ${trained} carry loss${truncated ? ', cut at --max-length' : ''}`);
    print(markLoss(pieces));
  }
}

function markLoss(pieces: ShownExample['pieces']): string {
  const colour = process.stdout.isTTY && !process.env.NO_COLOR;
  let text = '';
  for (const [i, piece] of pieces.entries()) {
    if (colour) text += piece.loss ? styleText('green', piece.text) : styleText('dim', piece.text);
    else {
      if (piece.loss && !pieces[i - 1]?.loss) text += '⟦';
      text += piece.text;
      if (piece.loss && !pieces[i + 1]?.loss) text += '⟧';
    }
  }
  return text;
}
