/** `attune sample … --best-of N`: several answers to each prompt, one of them chosen, and the curve of the score against N. */
import { type Command, Option } from 'commander';
import { readFileSync } from 'node:fs';
import type { BestOfPrompt, BestOfResult, Selection } from '../../shared/best-of.ts';
import { countValidity } from '../../shared/constraint.ts';
import { Reward } from '../../shared/recipes/rewards.ts';
import type { Sampling } from '../../shared/sampling.ts';
import type { Library } from '../library.ts';
import type { Model } from '../models/index.ts';
import { bestOf, type BestOfOptions } from '../sampling-reports/best-of.ts';
import { print, printJson, table, tell } from '../terminal.ts';
import { UserError } from '../user-error.ts';
import { type MachineOptions, parseCount } from './options.ts';

const WAYS = ['logprob', 'reward', 'majority'] as const;

export type BestOfFlags = {
  bestOf?: number;
  choose: (typeof WAYS)[number];
  rewardModel?: string[];
  check?: string[];
  rewards?: string;
  vote?: string;
  weigh: 'one' | 'probability' | 'rewards';
  expected?: string;
};

export function addBestOfOptions(command: Command): Command {
  const more = (value: string, before: string[] = []): string[] => [...before, value];
  return command
    .option('--best-of <n>', 'sample so many answers to each prompt and choose one', parseCount)
    .addOption(new Option('--choose <way>', 'the highest mean log-probability, the highest reward, or what most answers say').choices(WAYS).default('logprob'))
    .option('--reward-model <model>', 'a reward model; may be given again, each counts the same', more)
    .option('--check <file>', 'a check of your own: JavaScript, ({ prompt, completion, expected }) => number, run without modules, clock or chance; may be given again', more)
    .option('--rewards <file>', 'a JSON list of weighted rewards, as in the recipe of an online run')
    .option('--vote <regex>', 'with --choose majority: what of an answer votes, its first group, else its match; by default all of it')
    .addOption(new Option('--weigh <what>', 'with --choose majority: what a vote weighs').choices(['one', 'probability', 'rewards']).default('one'))
    .option('--expected <text>', 'the right answer, to tell how often the choice is right');
}

export async function runBestOf(
  library: Library, model: Model, sampling: Sampling, prompts: BestOfOptions['prompts'], options: BestOfFlags & MachineOptions & { json?: boolean } & Pick<BestOfOptions, 'template' | 'constraint'>,
): Promise<void> {
  const { bestOf: count, device, threads, json, template, constraint } = options;
  if (!count) throw new UserError('--best-of 0: choose among one answer at least');
  const terminal = process.stderr.isTTY === true;
  const onCount = (done: number, total: number): void => {
    if (terminal) process.stderr.write(`\r${done} of ${total} answers${done === total ? '\n' : ''}`);
  };
  const result = await bestOf(library, { model: model.name, prompts, sampling, count, selection: readSelection(options), template, constraint, machine: { device, threads }, onCount });
  if (json) printJson({ model: model.name, ...result });
  else tellResult(result, options.choose);
  const without = result.prompts.filter(({ chosen }) => chosen === null);
  if (without.length > 0) throw new Error(result.prompts.length === 1 ? whyNone(without[0]) : `nothing is chosen for ${without.length} of ${result.prompts.length} prompts`);
}

function tellResult(result: BestOfResult, choose: BestOfFlags['choose']): void {
  for (const { prompt, answers, chosen } of result.prompts) {
    if (result.prompts.length > 1) tell(`\n${prompt}`);
    if (chosen !== null) print(answers[chosen].text);
    else if (result.prompts.length > 1) tell(whyNone({ answers }));
  }
  const found = countValidity(result.prompts.flatMap(({ answers }) => answers));
  if (found) tell(`of the answers ${found.valid} valid, ${found.repaired} repaired, ${found.broken} broken`);
  tell(curveTable(result, choose));
}

function whyNone({ answers }: Pick<BestOfPrompt, 'answers'>): string {
  if (answers.every(({ validity }) => validity?.valid === false)) return `no answer is what was asked for: ${answers[0].validity!.reason}`;
  return 'no answer has anything in it that --vote looks for: nothing is chosen';
}

function curveTable({ curve }: BestOfResult, choose: BestOfFlags['choose']): string {
  const title = { logprob: 'mean log-prob', reward: 'reward', majority: 'share of the votes' }[choose];
  const known = curve.some(({ correct }) => correct !== null);
  return table([['N', title, ...(known ? ['right'] : [])], ...curve.map(({ n, score, correct }) => [String(n), score.toFixed(4), ...(known ? [correct === null ? '–' : `${(100 * correct).toFixed(1)} %`] : [])])]);
}

function readSelection({ choose, vote, weigh, ...given }: BestOfFlags): Selection {
  const rewards = readRewards(given);
  if (choose === 'logprob') {
    if (rewards.length > 0) throw new UserError('a reward model or a check is given, but the choice is by log-probability: add --choose reward');
    return { by: 'logprob' };
  }
  if (choose === 'reward') {
    if (rewards.length === 0) throw new UserError('--choose reward: name one with --reward-model, --check or --rewards');
    return { by: 'rewards', rewards };
  }
  if (weigh === 'rewards' && rewards.length === 0) throw new UserError('--weigh rewards: name one with --reward-model, --check or --rewards');
  if (vote !== undefined) {
    try {
      new RegExp(vote, 'u');
    } catch (error) {
      throw new UserError(`--vote: ${(error as Error).message}`);
    }
  }
  return { by: 'majority', pattern: vote, weight: weigh, rewards };
}

function readRewards({ rewardModel = [], check = [], rewards }: Pick<BestOfFlags, 'rewardModel' | 'check' | 'rewards'>): Reward[] {
  return [
    ...rewardModel.map((model) => Reward.parse({ type: 'model', model })),
    ...check.map((file) => Reward.parse({ type: 'function', code: readText('--check', file) })),
    ...(rewards === undefined ? [] : readList(rewards)),
  ];
}

function readList(file: string): Reward[] {
  let value: unknown;
  try {
    value = JSON.parse(readText('--rewards', file));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${file}: not JSON (${(error as Error).message})`);
  }
  const parsed = Reward.array().min(1).safeParse(value);
  if (!parsed.success) throw new UserError(`${file}: ${parsed.error.issues[0].path.join('.')}: ${parsed.error.issues[0].message}: expected a list of rewards (attune train --help grpo tells their fields)`);
  return parsed.data;
}

function readText(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UserError(`${option} ${file}: it cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
