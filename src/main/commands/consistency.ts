/** `attune consistency`: the same prompt and small rephrasings of it many times, and how far the answers agree. */
import type { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { type Agreement, type Consistency, Rephrasing } from '../../shared/consistency.ts';
import { consistency } from '../sampling-reports/consistency.ts';
import { readSynonyms } from '../sampling-reports/rephrase.ts';
import { print, printJson, table } from '../terminal.ts';
import { UserError } from '../user-error.ts';
import { addConstraintOptions, type ConstraintFlags, readConstraint } from './constraint.ts';
import { addMachineOptions, addSamplingOptions, type MachineOptions, parseCount, readSampling } from './options.ts';
import { withLibrary } from './with-library.ts';

type Flags = MachineOptions & ConstraintFlags & { prompt: string; system?: string; n: number; rephrase: string; synonyms?: string; json?: boolean };

export function addConsistency(program: Command): void {
  const command = program
    .command('consistency')
    .description('ask the same prompt, and small rephrasings of it, many times: distinct answers, agreement, edit distance')
    .argument('<model>')
    .requiredOption('--prompt <text>', 'what the user says')
    .option('--system <text>', 'a system message before it')
    .option('--n <n>', 'answers to the prompt and to each rephrasing', parseCount, 8)
    .option('--rephrase <kinds>', `of ${Rephrasing.options.join(', ')}, with commas between; none asks the prompt alone`, 'case,punctuation,whitespace,synonyms')
    .option('--synonyms <file>', 'lines of a word, a comma and its synonym, in place of the built-in list')
    .option('--json', 'the report as JSON, with every answer')
    .addHelpText('after', `
Answers are the same when they are once spaces and letters are evened out. The report is kept in the library.

Example:
  attune consistency attune-sft --prompt "What is the opposite of cold?" --n 4 --temperature 0.7`);
  addMachineOptions(addConstraintOptions(addSamplingOptions(command))).action((model: string, options: Flags) =>
    withLibrary(async (library) => {
      const { prompt, system, n: count, device, threads, json } = options;
      if (count < 1) throw new UserError('--n 0: ask for one answer at least');
      const synonyms = options.synonyms === undefined ? undefined : synonymsOf(options.synonyms);
      const report = await consistency(library, { model, prompt, before: system === undefined ? [] : [{ role: 'system', content: system }], count, synonyms, rephrasings: readRephrasings(options.rephrase), sampling: readSampling(options), constraint: readConstraint(options), machine: { device, threads } });
      if (json) return printJson(report);
      tellReport(report);
    }),
  );
}

function readRephrasings(text: string): Rephrasing[] {
  if (text === 'none') return [];
  return text.split(',').map((name) => {
    const parsed = Rephrasing.safeParse(name.trim());
    if (!parsed.success) throw new UserError(`--rephrase ${name}: not one of ${Rephrasing.options.join(', ')}, none`);
    return parsed.data;
  });
}

function synonymsOf(file: string): [string, string][] {
  try {
    return readSynonyms(file, readFileSync(file, 'utf8'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UserError(code === undefined ? message : `--synonyms ${file}: it cannot be read (${code})`);
  }
}

function tellReport({ variants, all, keeps }: Consistency): void {
  const percent = (share: number | null): string => (share === null ? '–' : `${(100 * share).toFixed(0)} %`);
  const numbers = ({ distinct, share, pairs, distance }: Agreement): string[] => [String(distinct), percent(share), percent(pairs), distance === null ? '–' : distance.toFixed(3)];
  const short = (text: string): string => (text.length > 60 ? `${JSON.stringify(text).slice(0, 58)}…"` : JSON.stringify(text));
  print(table([
    ['prompt', 'changed', 'distinct', 'commonest', 'pairs alike', 'distance', 'same answer'],
    ...variants.map((one) => [short(one.prompt), one.rephrasing ?? '–', ...numbers(one), one.rephrasing === null ? '–' : one.same ? 'yes' : 'no']),
    ['all', '', ...numbers(all), keeps === null ? '–' : `${percent(keeps)} of them`],
  ]));
  print(`commonest answer: ${variants[0].commonest}`);
}
