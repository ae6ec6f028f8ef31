/** `attune judge`: a model labels pairs by a rubric, or a reward model by its scores, and what its labels are worth beside people's. */
import { type Command, Option } from 'commander';
import { existsSync, readFileSync } from 'node:fs';
import { Split } from '../../shared/dataset.ts';
import type { Judging, Share } from '../../shared/judging.ts';
import { judgeDataset, RUBRIC } from '../judging/index.ts';
import { print, printJson, table, tell } from '../terminal.ts';
import { addMachineOptions, type MachineOptions, parseCount } from './options.ts';
import { withLibrary } from './with-library.ts';

type JudgeFlags = MachineOptions & { rubric: string; name?: string; split?: Split; limit?: number; sample?: string; json?: boolean };

export function addJudge(program: Command): void {
  const command = program
    .command('judge')
    .description('AI feedback: a model labels the pairs of a dataset by a rubric, or a reward model by its scores; its labels become a new dataset')
    .argument('<model>', 'the judge: a model that is asked, or a reward model')
    .argument('<dataset>', 'library name or file of preference pairs, or with --sample of any prompts')
    .option('--rubric <file or text>', 'what makes an answer the better one; a reward model reads none', RUBRIC)
    .option('--sample <model>', 'judge two sampled answers of this model to each prompt, in place of the pairs of the dataset')
    .option('--name <name>', 'of the new dataset; by default the dataset and the judge')
    .addOption(new Option('--split <split>', 'rows of this split; by default train, else validation, else test').choices(Split.options))
    .option('--limit <n>', 'only the first rows', parseCount)
    .option('--json', 'the outcome as JSON')
    .addHelpText('after', `
The judge is shown the rubric, the prompt and both answers as A and B, and is asked for a letter; how likely it finds each is read off its
log-probabilities, in both orders, and averaged. Where a dataset has people's labels, agreement with them is told with its 95 % interval and
Cohen's kappa (0 is chance); where the place of an answer decides more than the answer, that is said too. A reward model scores each answer by
itself, so no place decides.

Example:
  attune judge attune-sft preferences --rubric rubric.txt --name judged
  attune judge attune-reward prompts.jsonl --sample attune-sft --name rlaif`);
  addMachineOptions(command).action((judge: string, dataset: string, { rubric, name, sample, split, limit, json, ...machine }: JudgeFlags) =>
    withLibrary(async (library) => {
      const judging = await judgeDataset(library, {
        model: judge, dataset, split, limit, machine,
        rubric: existsSync(rubric) ? readFileSync(rubric, 'utf8') : rubric,
        sampleFrom: sample,
        name: name ?? `${plain(dataset)}-by-${plain(judge)}`,
      });
      if (json) return printJson(judging);
      tellJudging(judging);
    }),
  );
}

const plain = (name: string): string => name.split(/[\\/]/).at(-1)!.replace(/\.\w+$/, '').replace(/@/g, '-');
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const interval = ({ value, low, high }: Share, show: (value: number) => string): string => `${show(value)} (${show(low)} to ${show(high)})`;

function tellJudging({ name, judge, rubric, pairs, leftOut, agreement, firstPlace, placeDecides, warnings }: Judging & { name: string }): void {
  const two = (value: number): string => value.toFixed(2);
  const rows = [
    ['pairs labelled', String(pairs)],
    ['left out: too long, or twice the same', String(leftOut)],
    ...(agreement ? [['agreement with people (95 %)', interval(agreement.accuracy, percent)], ["Cohen's kappa (95 %)", interval(agreement.kappa, two)]] : []),
    ...(rubric === null
      ? []
      : [['the answer in the first place wins (fair: 50 %)', percent(firstPlace)], ['pairs where the other answer wins in the other order', percent(placeDecides)]]),
  ];
  print(table([[judge, ''], ...rows]));
  if (warnings.includes('place')) tell(`${judge}: the place of an answer decides more pairs than the answer does: do not train on these labels`);
  if (warnings.includes('chance')) tell(`${judge}: its agreement with people cannot be told from chance: do not train on these labels`);
  print(`written as dataset ${name}, source ${judge}`);
}
