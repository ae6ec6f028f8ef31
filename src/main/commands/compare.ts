/** `attune compare` and `evaluate`: two models' answers beside each other, and one model's held-out numbers. */
import type { Command } from 'commander';
import type { RowProblem, Template } from '../../shared/dataset.ts';
import type { EvaluateResult } from '../../shared/job-results.ts';
import { withExamplesFile } from '../datasets/examples-file.ts';
import { askEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { type Answer, answerPrompts } from '../playground/index.ts';
import { compareJudged, countVerdicts, judgeAnswer, RULE_TEXT } from '../playground/judge.ts';
import { readPrompts } from '../prompts.ts';
import { print, printJson, sideBySide, table, tell } from '../terminal.ts';
import { UserError } from '../user-error.ts';
import {
  addMachineOptions,
  addSamplingOptions,
  addTemplateOption,
  type MachineOptions,
  parseCount,
  parseNumber,
  readSampling,
  readTemplate,
} from './options.ts';
import { withLibrary } from './with-library.ts';

export function addCompareCommands(program: Command): void {
  const compare = program
    .command('compare')
    .description('two models answer the same prompts, side by side, judged by a stated rule')
    .argument('<a>')
    .argument('<b>')
    .requiredOption('--prompts <file>', 'a prompt a line, or JSON/JSONL rows with prompt, messages or instruction')
    .option('--json', 'answers with lengths and log-probabilities as JSON')
    .addHelpText('after', `
Both are greedy unless told otherwise, and share seed and settings. Log-probabilities are each model's own, of its own answer, in nats.

Example:
  attune compare attune-base-sft attune-base-dpo --prompts prompts.txt`);
  addMachineOptions(addTemplateOption(addSamplingOptions(compare, { temperature: 0 }))).action((a: string, b: string, options: CompareFlags) =>
    withLibrary((library) => runCompare(library, a, b, options)),
  );

  const evaluate = program
    .command('evaluate')
    .description('held-out loss and perplexity, and how often the chosen answer of a pair is the likelier one')
    .argument('<model>')
    .option('--instructions <dataset>', 'library name or file of instruction rows')
    .option('--preferences <dataset>', 'library name or file of preference pairs')
    .option('--reference <model>', "measure DPO's implicit rewards against this model")
    .option('--beta <n>', 'their scale', parseNumber, 0.1)
    .option('--max-length <n>', 'tokens a row may have', parseCount, 1024)
    .option('--json', 'as JSON')
    .addHelpText('after', `
A dataset of the library is measured on its validation split, else its test split, else its train split.

Example:
  attune evaluate attune-base-dpo --instructions alpaca --preferences pairs.jsonl --reference attune-base-sft`);
  addMachineOptions(addTemplateOption(evaluate)).action((name: string, options: EvaluateFlags) =>
    withLibrary((library) => runEvaluate(library, name, options)),
  );
}

type CompareFlags = MachineOptions & { prompts: string; json?: boolean; template?: Template };
type EvaluateFlags = MachineOptions & {
  instructions?: string;
  preferences?: string;
  reference?: string;
  beta: number;
  maxLength: number;
  json?: boolean;
  template?: Template;
};

async function runCompare(library: Library, nameA: string, nameB: string, options: CompareFlags): Promise<void> {
  const sampling = readSampling(options);
  const prompts = readPrompts(options.prompts);
  const models = [resolveModel(library, nameA), resolveModel(library, nameB)];
  const answers: Answer[][] = [];
  for (const model of models) {
    const template = readTemplate(options, model);
    const { device, threads } = options;
    const asked = prompts.map(({ messages, tools }) => ({ messages, ...(tools && { tools }) }));
    answers.push(await answerPrompts(model, asked, { device, threads, template, sampling, onNote: tell }));
  }
  const [a, b] = models.map((model) => model.name);
  const judged = answers.map((all) => all.map(({ text, finishReason }) => judgeAnswer(text, finishReason === 'eos')));
  const { win, tie, loss } = countVerdicts(judged[0], judged[1]);
  const wins = { a: win, tie, b: loss };
  const better = judged[0].map((points, i) => ({ win: 'a', tie: 'tie', loss: 'b' })[compareJudged(points, judged[1][i])]);
  if (options.json) {
    const rows = prompts.map(({ title, messages }, i) => ({ prompt: title, messages, a: answers[0][i], b: answers[1][i], better: better[i] }));
    return printJson({ a, b, sampling, judged: { rule: RULE_TEXT, ...wins }, rows });
  }
  const width = process.stdout.columns ?? 120;
  const describe = ({ tokens, meanLogprob, finishReason }: Answer) =>
    `[${tokens} tokens, ${meanLogprob.toFixed(2)} nats/token${finishReason === 'length' ? ', cut' : ''}]`;
  print(sideBySide(a, b, width));
  for (const [i, { title }] of prompts.entries()) {
    print(`── ${i + 1}: ${title}`);
    print(sideBySide(answers[0][i].text, answers[1][i].text, width));
    print(sideBySide(describe(answers[0][i]), describe(answers[1][i]), width));
  }
  print(`── ${a} better ${wins.a}, tie ${wins.tie}, ${b} better ${wins.b} (${RULE_TEXT})`);
}

async function runEvaluate(library: Library, name: string, options: EvaluateFlags): Promise<void> {
  const { instructions, preferences, reference, beta, maxLength, device, threads } = options;
  if (instructions === undefined && preferences === undefined) throw new UserError('evaluate: give --instructions, --preferences or both');
  const model = resolveModel(library, name);
  const onProblem = (problem: RowProblem) => tell(`${problem.file}:${problem.line}: left out: ${problem.reason}`);
  const rowsOf = <T>(dataset: string | undefined, use: (path: string | null) => Promise<T>): Promise<T> =>
    dataset === undefined ? use(null) : withExamplesFile(library, dataset, { splits: ['validation', 'test', 'train'], onProblem }, use);

  const result = await rowsOf(instructions, (instructionRows) =>
    rowsOf(preferences, (preferenceRows) =>
      askEngine<EvaluateResult>(
        {
          type: 'evaluate',
          device,
          threads,
          model: model.path,
          reference: reference === undefined ? undefined : resolveModel(library, reference).path,
          beta,
          template: readTemplate(options, model),
          instructions: instructionRows,
          preferences: preferenceRows,
          maxLength,
        },
        (event) => {
          if (event.type === 'note') tell(event.text);
        },
      ),
    ),
  );
  if (options.json) return printJson({ model: model.name, ...result });
  const rows = Object.entries(result).flatMap(([group, values]) =>
    Object.entries((values ?? {}) as Record<string, number | null>)
      .filter((entry): entry is [string, number] => entry[1] !== null)
      .map(([key, value]) => [group, key, Number.isInteger(value) ? String(value) : value.toFixed(4)]),
  );
  print(table([['rows', 'measure', model.name], ...rows]));
}
