/**
 * What the methods that train on sampled answers share: prompts of the rows, rewards, the frozen reference, and the sampling itself.
 * Not a method: each says in its own file what it learns from the answers.
 */
import type { EngineEvent, TrainJob } from '../../shared/job.ts';
import { answersPerPrompt, hasReference, type OnlineRecipe } from '../../shared/recipe.ts';
import { judgedMetrics, mean, type OnlineData, type Reference } from '../algorithms/experience.ts';
import type { StepReport, Training } from '../algorithms/training.ts';
import type { StepPlan } from '../data/plan.ts';
import { readExamples } from '../data/read.ts';
import { onPolicyBase, openModel, sharesPolicyBase } from '../open-model.ts';
import { openRewardModel } from '../rewards/reward-model.ts';
import { openRewards, type Rewards } from '../rewards/rewards.ts';
import type { Answer } from '../rewards/rules.ts';
import { EVALUATED, plannedLengths } from '../rollouts/cost.ts';
import type { Judged, Rollout } from '../rollouts/rollout.ts';
import { sampleRollouts } from '../rollouts/sample.ts';
import { createRolloutStore, type RolloutStore } from '../rollouts/store.ts';
import { createGoldWatch } from '../rollouts/watch.ts';
import { type Prompt, promptOf, spread } from '../training-samples.ts';
import type { MethodContext, PreparedMethod } from './method.ts';

type Reports = AsyncGenerator<StepReport, void, void>;

/** Rows with a prompt that leaves room for an answer; how many were left out is told. */
async function preparePrompts({ job: { recipe }, tokenizer, emit }: MethodContext<OnlineRecipe>, path: string): Promise<Prompt[]> {
  const settings = { template: recipe.template, tokenizer, maxLength: Number.MAX_SAFE_INTEGER, completionOnlyLoss: true };
  const most = recipe.maxLength - recipe.maxCompletionLength;
  if (most < 1) throw new Error(`maxLength (${recipe.maxLength} tokens) holds prompt and answer: raise it over maxCompletionLength (${recipe.maxCompletionLength})`);
  const prompts: Prompt[] = [];
  let [long, refused] = [0, 0];
  let reason = '';
  for await (const example of readExamples(path)) {
    try {
      if (example.kind === 'text') throw new Error('a plain text has no prompt: choose rows that have one, or method: pretrain');
      const prompt = promptOf(example, settings);
      if (prompt.tokens.length > 0 && prompt.tokens.length <= most) prompts.push(prompt);
      else long++;
    } catch (error) {
      refused++;
      reason ||= (error as Error).message;
    }
  }
  const all = prompts.length + long + refused;
  if (prompts.length === 0) throw new Error(`${path}: no prompt to answer among ${all} rows: ${reason || `each leaves less than maxCompletionLength (${recipe.maxCompletionLength}) of maxLength (${recipe.maxLength} tokens)`}`);
  const note = (text: string): void => emit({ type: 'note', text } satisfies EngineEvent);
  if (long > 0) note(`${long} of ${all} rows were left out: their prompts leave less than maxCompletionLength (${recipe.maxCompletionLength}) of maxLength (${recipe.maxLength} tokens)`);
  if (refused > 0) note(`${refused} of ${all} rows were left out; the first because ${reason}`);
  return prompts;
}

/** A method whose rows are prompts; `takeSteps` learns from the answers sampled to them. */
export async function prepareOnline(
  context: MethodContext<OnlineRecipe>,
  takeSteps: (training: Training, data: OnlineData) => Reports | Promise<Reports>,
): Promise<PreparedMethod> {
  const { recipe, train } = context.job;
  const prompts = await preparePrompts(context, train);
  return {
    lengths: prompts.map(({ tokens }) => plannedLengths(tokens.length, recipe)),
    start: async (training, steps) => takeSteps(training, await openOnline(context, training, steps, prompts)),
  };
}

/** Everything the algorithms need but their own settings. */
async function openOnline(context: MethodContext<OnlineRecipe>, training: Training, steps: StepPlan[], train: Prompt[]): Promise<OnlineData> {
  const { job, tokenizer } = context;
  const { recipe } = job;
  const numGenerations = answersPerPrompt(recipe);
  const validation = job.validation ? spread(await preparePrompts(context, job.validation), EVALUATED) : [];
  const models = new Map<string, ReturnType<typeof openRewardModel>>();
  const openNamed = async (name: string) => {
    const path = job.models[name];
    return openRewardModel(context.device, path, recipe, (await sharesPolicyBase(job, path)) ? training.model : undefined);
  };
  const open = (name: string) => {
    const known = models.get(name) ?? openNamed(name);
    models.set(name, known);
    return known;
  };
  const rewards = await openRewards(recipe.rewards, open);
  const gold = recipe.goldReward && (await openRewards([recipe.goldReward], open));

  const judge = async (prompts: Prompt[], rows: Iterable<number>, count: number, seed: number, step: number): Promise<Judged> => {
    const asked = Array.from(rows, (row) => ({ row, tokens: Int32Array.from(prompts[row].tokens) }));
    const { maxCompletionLength: maxTokens, temperature } = recipe;
    const rollouts = await sampleRollouts(training.model, tokenizer, asked, { count, maxTokens, temperature, seed, step });
    return scoreRollouts(rollouts, prompts, rewards, gold);
  };
  const store = createRolloutStore(job.folder, (row) => promptText(train[row]));
  return {
    prompts: train.map(({ tokens }) => Int32Array.from(tokens)),
    steps,
    numGenerations,
    batchSize: recipe.perDeviceTrainBatchSize,
    judge: (step, rows) => judge(train, rows, numGenerations, recipe.seed, step),
    reference: hasReference(recipe) ? await openReference(context, training) : null,
    store,
    watch: await openWatch(context, store, training.startStep),
    evaluate: validation.length === 0 ? null : async () => {
      // always the same draws, so that evaluations differ by the model alone
      const judged = await judge(validation, validation.keys(), 1, recipe.seed + 1, 0);
      return Object.fromEntries(Object.entries(judgedMetrics(judged)).map(([name, value]) => [`eval_${name}`, value]));
    },
    evalSteps: recipe.evalSteps,
  };
}

/** Shown first what a resumed run's answers scored before. */
async function openWatch({ job: { recipe }, emit }: MethodContext<OnlineRecipe>, store: RolloutStore, startStep: number): Promise<OnlineData['watch']> {
  if (recipe.goldReward === null) return () => undefined;
  const { goldLimit, stopWhenGamed, method } = recipe;
  let again = true;
  const watch = createGoldWatch({ goldLimit, stopWhenGamed, averaged: method === 'rejection' ? 1 : 10 }, (text) => {
    if (!again) emit({ type: 'note', text });
  });
  const show = ({ scores, gold }: Pick<Judged, 'scores' | 'gold'>) => watch({ reward: mean(scores), gold: mean(gold!) });
  for (let step = 0; step < startStep; step++) {
    const scores = await store.readScores(step);
    if (scores) show(scores);
  }
  again = false;
  return show;
}

async function scoreRollouts(rollouts: Rollout[], prompts: Prompt[], rewards: Rewards, gold: Rewards | null): Promise<Judged> {
  const answers = rollouts.map(({ row, text, ids }): Answer => ({ prompt: prompts[row].prompt, completion: text, tokens: ids.length, expected: prompts[row].expected }));
  return { rollouts, ...(await rewards.score(answers)), gold: gold && (await gold.score(answers)).scores };
}

/** The base as the run started. A new adapter's base is the policy's own, with the adapter off. */
async function openReference({ job, device, tokenizer }: { job: TrainJob & { recipe: OnlineRecipe } } & Pick<MethodContext, 'device' | 'tokenizer'>, { model }: Training): Promise<Reference> {
  const { recipe } = job;
  const name = 'referenceModel' in recipe ? recipe.referenceModel : undefined;
  const named = name === undefined ? undefined : job.models[name];
  if (!named && recipe.lora && !job.model.adapter) return { model, adapter: false };
  const path = named ?? job.model;
  const isShared = named ? await sharesPolicyBase(job, path) : onPolicyBase(job, path);
  const reference = await openModel(device, path, tokenizer, { storage: 'bf16-if-stored', trainable: 'none', shared: isShared ? model : undefined });
  return { model: reference.model, adapter: true };
}

function promptText({ prompt }: Prompt): string {
  return typeof prompt === 'string' ? prompt : prompt.map(({ content }) => content).join('\n');
}
