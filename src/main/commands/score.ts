/** `attune score`: a reward model's or classifier's scores of rows, as JSON lines, and how right it is where rows say what is right. */
import type { Command } from 'commander';
import type { RowProblem, Template } from '../../shared/dataset.ts';
import type { ScoreResult } from '../../shared/job-results.ts';
import { withExamplesFile } from '../datasets/examples-file.ts';
import { askEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { scoreDataset } from '../scoring/index.ts';
import { print, printJson, table, tell } from '../terminal.ts';
import { UserError } from '../user-error.ts';
import { addMachineOptions, addTemplateOption, type MachineOptions, parseCount, readTemplate } from './options.ts';
import { withLibrary } from './with-library.ts';

type Flags = MachineOptions & { template?: Template; maxLength: number; json?: boolean; rows?: boolean; keep?: boolean; label?: string };

export function addScoreCommand(program: Command): void {
  const command = program
    .command('score')
    .description('a reward model scores answers, or a classifier texts')
    .argument('<model>', 'reward model or classifier')
    .argument('<dataset>', 'library name or file: pairs, rankings, conversations, texts, labelled texts')
    .option('--max-length <n>', 'tokens a text may have; rows with a longer one are left out', parseCount, 1024)
    .option('--rows', 'a line of JSON for each row: its number from 0, its scores (of a pair or ranking one an answer, of a classifier one a label)')
    .option('--keep', 'score every row of a library dataset and keep the scores with the rows, for attune filter and the editor')
    .option('--label <label>', 'with --keep, of a classifier: the label whose probability is kept')
    .option('--json', 'the summary as JSON')
    .addHelpText('after', `
Pairs and rankings give the share of pairs scored rightly, how scores are spread and the calibration error; labelled texts the accuracy and a table
of labels against answers. A classifier reads prompt and answer as plain text, apart by an empty line. A dataset of the library is scored on its validation split, else its test split, else its train split.

Example:
  attune score attune-reward preferences.jsonl --rows > scores.jsonl
  attune score attune-quality my-rows --keep --label clear`);
  addMachineOptions(addTemplateOption(command)).action((model: string, dataset: string, options: Flags) => withLibrary((library) => runScore(library, model, dataset, options)));
}

async function runScore(library: Library, name: string, dataset: string, options: Flags): Promise<void> {
  const { device, threads, maxLength } = options;
  if (options.label !== undefined && !options.keep) throw new UserError('--label says which probability is kept: give --keep as well');
  if (options.keep) return keepScores(library, name, dataset, options);
  const model = resolveModel(library, name);
  const onProblem = (problem: RowProblem) => tell(`${problem.file}:${problem.line}: left out: ${problem.reason}`);
  const result = await withExamplesFile(library, dataset, { splits: ['validation', 'test', 'train'], onProblem }, (examples) =>
    askEngine<ScoreResult>({ type: 'score', device, threads, model: model.path, template: readTemplate(options, model), examples, maxLength }, (event) => {
      if (event.type === 'note') tell(event.text);
      if (event.type === 'scored' && options.rows) print(JSON.stringify({ row: event.index, scores: event.scores }));
    }),
  );
  if (options.json) return printJson({ model: model.name, ...result });
  const say = options.rows ? tell : print; // rows alone go to the output, so that it can be piped
  say(`${model.name}: ${result.rows} rows scored${result.leftOut > 0 ? `, ${result.leftOut} left out (longer than --max-length)` : ''}${result.accuracy === null ? '' : `, accuracy ${result.accuracy.toFixed(4)}`}`);
  if (result.report?.type === 'reward') {
    const { calibrationError, calibration } = result.report;
    say(`calibration error ${calibrationError.toFixed(4)}`);
    const bins = calibration.filter(({ pairs }) => pairs > 0);
    say(table([['confidence', 'pairs', 'right'], ...bins.map(({ confidence, pairs, accuracy }) => [confidence!.toFixed(3), String(pairs), accuracy!.toFixed(3)])]));
  }
  if (result.report?.type === 'classify') {
    const { labels, counts } = result.report;
    say(table([['label \\ answered', ...labels], ...labels.map((label, i) => [label, ...counts[i].map(String)])]));
  }
}

async function keepScores(library: Library, model: string, dataset: string, { device, threads, maxLength, label, json, rows }: Flags): Promise<void> {
  if (rows) throw new UserError('--rows prints the scores and --keep keeps them: one of the two');
  const progress = process.stderr.isTTY ? (done: number, total: number) => void process.stderr.write(`\r${done} of ${total} rows`) : undefined;
  const scoring = await scoreDataset(library, { model, dataset, label, maxLength, machine: { device, threads }, onCount: progress });
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K');
  if (json) return printJson(scoring);
  const left = scoring.leftOut > 0 ? `, ${scoring.leftOut} without a score (empty, or longer than --max-length)` : '';
  print(`${dataset}: ${scoring.rows} rows scored by ${scoring.model}${scoring.label === null ? '' : ` for ${scoring.label}`}${left}`);
  const width = (scoring.high - scoring.low) / scoring.bins.length;
  print(table([['from', 'rows'], ...scoring.bins.map((count, i) => [(scoring.low + i * width).toFixed(3), String(count)])]));
  tell(`attune filter ${dataset} --below ${((scoring.low + scoring.high) / 2).toFixed(2)} counts, tags or deletes the rows below a score`);
}
