/** The `best-of` job: N answers to each prompt, the prompt read once, scored, and one chosen. Choosing is sampling/best-of.ts, scores are rewards/. */
import type { BestOfPrompt, BestOfResult, SampledAnswer, Selection } from '../../shared/best-of.ts';
import type { Validity } from '../../shared/constraint.ts';
import type { BestOfJob, Prompt } from '../../shared/job.ts';
import type { Device } from '../device/device.ts';
import { openModel } from '../open-model.ts';
import { openRewardModel } from '../rewards/reward-model.ts';
import { openRewards, type Rewards } from '../rewards/rewards.ts';
import { choose, curveOf, extractAnswer, meanCurve } from '../sampling/best-of.ts';
import { compileConstraint } from '../sampling/constraint/compile.ts';
import type { CompiledConstraint } from '../sampling/constraint/constraint.ts';
import { type Completion, generate } from '../sampling/generate.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import { promptTokens } from './sample.ts';

/** Answers decoded at once, in whole prompts where they fit, so that a prompt is read once. */
const BATCH = 64;
/** Texts that a reward model reads at once. */
const SCORED_AT_ONCE = 8;

/** `count` is told after each answer. */
export async function bestOf(job: BestOfJob, device: Device, count: (done: number, total: number) => void): Promise<BestOfResult> {
  if (job.sampling.numBeams > 1) throw new Error('best of N draws its answers: leave --num-beams at 1');
  const pattern = patternOf(job.selection);
  const tokenizer = await loadTokenizer(job.model.folder);
  const constraint = job.constraint ? compileConstraint(job.constraint, tokenizer) : null; // what cannot be enforced is told before a weight is read
  const { model } = await openModel(device, job.model, tokenizer, { storage: 'bf16-if-stored', trainable: 'none' });
  const tokens = job.prompts.map(({ prompt }) => promptTokens(prompt, job.template, tokenizer));
  const completions: Completion[] = [];
  const batchSize = Math.max(1, Math.floor(BATCH / job.count)) * Math.min(job.count, BATCH);
  let done = 0;
  const repeated = tokens.flatMap((one) => Array.from({ length: job.count }, () => one));
  for await (const event of generate(model, tokenizer, repeated, job.sampling, { batchSize, cancelled: () => false, constraint: constraint?.masks ? constraint : null })) {
    if (event.type !== 'completion') continue;
    completions[event.index] = event;
    count(++done, job.prompts.length * job.count);
  }
  model.free();

  const rewards = await rewardsOf(job, device);
  try {
    const prompts: BestOfPrompt[] = [];
    for (const [i, { prompt, expected }] of job.prompts.entries()) {
      const own = completions.slice(i * job.count, (i + 1) * job.count).map((completion) => judged(completion, constraint));
      const answers = await scoreAnswers(own, prompt, expected, job.selection, pattern, rewards);
      prompts.push({ prompt: textOf(prompt), answers, chosen: choose(answers, byOf(job.selection)) });
    }
    const curve = meanCurve(prompts.map(({ answers }) => curveOf(answers, byOf(job.selection), job.sampling.seed)));
    return { prompts, curve };
  } finally {
    await rewards?.close();
  }
}

type Judged = Completion & { validity?: Validity };

/** What was repaired goes on as it was repaired. */
function judged(completion: Completion, constraint: CompiledConstraint | null): Judged {
  if (!constraint) return completion;
  const validity = constraint.validate(completion.text);
  return { ...completion, validity, text: validity.repaired ?? completion.text };
}

async function scoreAnswers(
  completions: Judged[], prompt: Prompt, expected: string | null, selection: Selection, pattern: RegExp | null, rewards: Rewards | null,
): Promise<SampledAnswer[]> {
  const asked = 'raw' in prompt ? prompt.raw : prompt.messages;
  const scored = rewards && (await rewards.score(completions.map(({ text, ids }) => ({ prompt: asked, completion: text, tokens: ids.length, expected }))));
  const wanted = expected === null ? null : (extractAnswer(expected, pattern) ?? extractAnswer(expected, null));
  return completions.map(({ text, ids, logprobs, finishReason, validity }, i) => {
    const meanLogprob = logprobs.reduce((sum, logprob) => sum + logprob, 0) / Math.max(1, logprobs.length);
    const said = extractAnswer(text, pattern);
    const score = selection.by === 'logprob' ? meanLogprob : selection.by === 'rewards' || selection.weight === 'rewards' ? scored!.scores[i] : selection.weight === 'one' ? 1 : Math.exp(meanLogprob);
    return {
      text, tokens: ids.length, meanLogprob, finishReason,
      rewards: Object.fromEntries(Object.entries(scored?.rewards ?? {}).map(([name, values]) => [name, values[i]])),
      ...(validity ? { validity } : {}),
      score: validity?.valid === false || (selection.by === 'majority' && said === null) ? null : score,
      vote: selection.by === 'majority' ? said : null,
      correct: wanted === null ? null : said === wanted,
    };
  });
}

const byOf = ({ by }: Selection): 'score' | 'vote' => (by === 'majority' ? 'vote' : 'score');

function patternOf(selection: Selection): RegExp | null {
  if (selection.by !== 'majority' || selection.pattern === undefined) return null;
  try {
    return new RegExp(selection.pattern, 'u');
  } catch (error) {
    throw new Error(`the pattern of the vote: ${(error as Error).message}`, { cause: error });
  }
}

async function rewardsOf({ selection, models }: BestOfJob, device: Device): Promise<Rewards | null> {
  if (selection.by === 'logprob' || selection.rewards.length === 0) {
    if (selection.by === 'majority' && selection.weight === 'rewards') throw new Error('votes weighed by rewards need a reward: name a reward model or a check');
    return null;
  }
  return openRewards(selection.rewards, (name) => {
    const { path, template } = models[name];
    return openRewardModel(device, path, { template, perDeviceTrainBatchSize: SCORED_AT_ONCE });
  });
}

function textOf(prompt: Prompt): string {
  return 'raw' in prompt ? prompt.raw : prompt.messages.at(-1)!.content;
}
