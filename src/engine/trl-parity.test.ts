/**
 * Ten-step runs of TRL's SFT, DPO, CPO, ORPO and KTO trainers, repeated by our algorithms from the same weights and the same token ids: every metric it
 * logged and the weights it ended with. fixtures/trl holds them; fixtures/README.md tells what TRL computes and where we differ.
 * The last test gets those token ids from the rows' text. Not here: the run loop (run.ts), which orders rows by its own seed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Example, Message, PreferenceExample } from '../shared/dataset.ts';
import { type DpoRecipe, Recipe, type RewardRecipe, type SftRecipe } from '../shared/recipe.ts';
import { cpo } from './algorithms/cpo.ts';
import { dpo, referenceLogprobs } from './algorithms/dpo.ts';
import { kto, referenceSequences, sequenceLogprobs } from './algorithms/kto.ts';
import { orpo } from './algorithms/orpo.ts';
import { reward } from './algorithms/reward.ts';
import { sft } from './algorithms/sft.ts';
import type { StepReport, Training } from './algorithms/training.ts';
import type { PreferenceSequences, RankedSequences, Sequence, UnpairedSequence } from './data/pack.ts';
import { tokenizeExample, tokenizePreference, tokenizeRanking } from './data/tokenize.ts';
import type { Device } from './device/device.ts';
import { createNativeDevice } from './device/native.ts';
import { createReferenceDevice } from './device/reference.ts';
import { openModelFolder } from './formats/model-folder.ts';
import { readAdapter } from './formats/peft.ts';
import { openSafetensors } from './formats/safetensors.ts';
import { type LanguageModel, type LoadOptions, loadLanguageModel } from './model/language-model.ts';
import { readParameter } from './model/parameters.ts';
import { relativeError } from './model/testing.ts';
import { createAdamW } from './optim/adamw.ts';
import { loadTokenizer } from './tokenizer/tokenizer.ts';

type Check = { shape: number[]; sum: number; norm: number; stride: number; elements: number[] };
type SftRow = { input_ids: number[]; labels: number[] };
type UnpairedRow = { prompt_ids: number[]; completion_ids: number[]; label: boolean };
type PairRow = { prompt_ids: number[]; chosen_ids: number[]; rejected_ids: number[] };
type RewardRow = { chosen_ids: number[]; rejected_ids: number[]; margin?: number };
type Run<Row> = { recipe: unknown; rows: Row[]; steps: number[][][]; metrics: Record<string, number>[]; weights: Record<string, Check> };

const fixture = (path: string) => fileURLToPath(new URL(`../../fixtures/${path}`, import.meta.url));
const readRun = <Row>(name: string) => JSON.parse(readFileSync(fixture(`trl/${name}/run.json`), 'utf8')) as Run<Row>;

/** Of the number itself; both sides compute in f32, and ten AdamW steps amplify the rounding of the first. */
const RELATIVE = 1e-4;
/** A reward is β · a difference of sums of some 100 nats in f32: below this there is only rounding. */
const ABSOLUTE = 1e-5;

const devices: [string, () => Device][] = [['reference', createReferenceDevice]];
if (existsSync(fileURLToPath(new URL('../../build/native/attune.node', import.meta.url)))) devices.push(['native', () => createNativeDevice(2)]);

describe.each(devices)('on the %s device', (_, createDevice) => {
  test.each(['sft', 'sft-accumulation', 'sft-all-tokens', 'sft-truncated', 'sft-plain', 'sft-lora'])('repeats the SFTTrainer run %s', async (name) => {
    const run = readRun<SftRow>(name);
    const recipe = Recipe.parse(run.recipe) as SftRecipe;
    const model = await loadTrained(createDevice(), name, recipe);
    const train: Sequence[] = run.rows.map(({ input_ids, labels }) => ({
      tokens: Int32Array.from(input_ids),
      loss: Uint8Array.from(labels, (label) => (label === -100 ? 0 : 1)),
    }));
    const data = { train, steps: plans(run), validation: [], evalSteps: 0, evalTokens: 0 };
    await expectRepeats(sft(training(model, recipe, run.steps.length), data), { model, name, run, recipe });
  });

  test.each([
    'dpo', 'dpo-accumulation', 'dpo-label-smoothing', 'dpo-ipo', 'dpo-lora', 'dpo-hinge', 'dpo-robust', 'dpo-exo', 'dpo-sft', 'dpo-rarer',
    'cpo', 'cpo-hinge', 'cpo-ipo', 'cpo-simpo', 'orpo', 'kto', 'kto-weights', 'kto-apo',
  ])('repeats the DPOTrainer, CPOTrainer, ORPOTrainer or KTOTrainer run %s', (name) => expectPreferencesRepeat(createDevice(), name, readRun(name)));

  test.each(['reward', 'reward-centred', 'reward-margin', 'reward-accumulation', 'reward-lora'])('repeats the RewardTrainer run %s', async (name) => {
    const run = readRun<RewardRow>(name);
    const recipe = Recipe.parse(run.recipe) as RewardRecipe;
    const device = createDevice();
    const adapter = recipe.lora ? await readAdapter(fixture(`trl/${name}/initial`)) : undefined;
    const model = await load(device, { numLabels: 1, trainable: recipe.lora ? 'lora' : 'all', adapter });
    device.write(model.score!.tensor, Float32Array.from(JSON.parse(readFileSync(fixture('trl/reward-head.json'), 'utf8')) as number[]));
    const data = { train: run.rows.map(asRanking), steps: plans(run), validation: [], evalSteps: 0, evalBatchSize: 4 };
    await expectRepeats(reward(training(model, recipe, run.steps.length), data, recipe.centerRewardsCoefficient), { model, name, run, recipe });
  });
});

describe('a step cut into micro-batches repeats the run of whole ones, terms over tokens and the KL included', () => {
  test.each(['dpo-sft', 'cpo', 'orpo', 'kto'])('%s', async (name) => {
    const whole = readRun<PairRow | UnpairedRow>(name);
    await expectPreferencesRepeat(createReferenceDevice(), name, { ...whole, steps: whole.steps.map(([rows]) => [rows.slice(0, 1), rows.slice(1)]) });
  });
});

/** The answers' common beginning as their prompt: the same sums as TRL's, which computes it twice. */
function asRanking({ chosen_ids: chosen, rejected_ids: rejected, margin = 0 }: RewardRow): RankedSequences {
  let shared = 0;
  while (chosen[shared] === rejected[shared]) shared++;
  return { prompt: Int32Array.from(chosen.slice(0, shared)), answers: [chosen, rejected].map((ids) => Int32Array.from(ids.slice(shared))), margin };
}

describe('rows become the ids and masks TRL makes of them', () => {
  const rows = <Row>(file: string) => readFileSync(fixture(`trl/${file}`), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Row);
  const settings = async (recipe: SftRecipe | DpoRecipe | RewardRecipe) => ({
    template: recipe.template,
    tokenizer: await loadTokenizer(fixture('models/llama')),
    maxLength: recipe.maxLength,
    completionOnlyLoss: recipe.method === 'sft' && recipe.completionOnlyLoss,
  });

  test.each(['sft', 'sft-all-tokens', 'sft-truncated', 'sft-plain'])('%s', async (name) => {
    const run = readRun<SftRow>(name);
    const how = await settings(Recipe.parse(run.recipe) as SftRecipe);
    const examples = rows<{ messages: Message[] }>('instructions.jsonl').map(({ messages }): Example => {
      if (name !== 'sft-plain') return { kind: 'conversation', messages };
      return { kind: 'completion', prompt: `${messages[0].content}\n`, completion: messages[1].content };
    });
    const got = examples.map((example) => {
      const { tokens, loss } = tokenizeExample(example, how);
      return { input_ids: [...tokens], labels: [...tokens].map((id, i) => (loss[i] ? id : -100)) };
    });
    expect(got).toEqual(run.rows);
  });

  test('dpo', async () => {
    const run = readRun<PairRow>('dpo');
    const how = await settings(Recipe.parse(run.recipe) as DpoRecipe);
    const got = rows<Omit<PreferenceExample, 'kind'>>('preferences.jsonl').map((row) => {
      const { prompt, chosen, rejected } = tokenizePreference({ kind: 'preference', ...row }, how);
      return { prompt_ids: [...prompt], chosen_ids: [...chosen], rejected_ids: [...rejected] };
    });
    expect(got).toEqual(run.rows);
  });

  test('reward', async () => {
    const run = readRun<RewardRow>('reward');
    const how = await settings(Recipe.parse(run.recipe) as RewardRecipe);
    const got = rows<Omit<PreferenceExample, 'kind'>>('preferences.jsonl').map((row) => {
      const { prompt, answers } = tokenizeRanking({ kind: 'preference', ...row }, how);
      const [chosen, rejected] = answers.map((answer) => [...prompt, ...answer]);
      return { chosen_ids: chosen, rejected_ids: rejected };
    });
    expect(got).toEqual(run.rows);
  });
});

function training(model: LanguageModel, recipe: Recipe, totalSteps: number): Training {
  const adamw = createAdamW(model.device, model.parameters, recipe.optimizer);
  return { model, adamw, settings: recipe.optimizer, totalSteps, startStep: 0, seed: recipe.seed };
}

async function load(device: Device, options: Partial<LoadOptions> = {}): Promise<LanguageModel> {
  const folder = await openModelFolder(fixture('models/llama'));
  const model = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'all', ...options });
  await folder.close();
  return model;
}

async function loadTrained(device: Device, name: string, { lora }: Recipe): Promise<LanguageModel> {
  return lora ? load(device, { trainable: 'lora', adapter: await readAdapter(fixture(`trl/${name}/initial`)) }) : load(device);
}

async function expectPreferencesRepeat(device: Device, name: string, run: Run<PairRow | UnpairedRow>): Promise<void> {
  const recipe = Recipe.parse(run.recipe);
  const model = await loadTrained(device, name, recipe);
  await expectRepeats(await repeat(model, recipe, run), { model, name, run, recipe });
}

/** Every metric of every step, and the weights at the end; the model is freed. */
async function expectRepeats(
  steps: AsyncGenerator<StepReport, void, void>,
  { model, name, run, recipe }: { model: LanguageModel; name: string; run: Run<unknown>; recipe: Recipe },
): Promise<void> {
  const reports: StepReport[] = [];
  for await (const report of steps) reports.push(report);
  checkMetrics(reports, run, recipe);
  await checkWeights(model, name, run);
  model.free();
}

/** The steps of a run on preferences. The reference is the untouched model: with LoRA, too, where TRL's is the base with the adapter off. */
async function repeat(model: LanguageModel, recipe: Recipe, run: Run<PairRow | UnpairedRow>): Promise<AsyncGenerator<StepReport, void, void>> {
  const state = training(model, recipe, run.steps.length);
  const steps = plans(run);
  const base = await load(model.device, { trainable: 'none' });
  try {
    if (recipe.method === 'kto') {
      const train: UnpairedSequence[] = (run.rows as UnpairedRow[]).map((row) => ({
        prompt: Int32Array.from(row.prompt_ids), completion: Int32Array.from(row.completion_ids), label: row.label,
      }));
      const own = referenceSequences(train, steps, recipe.maxLength);
      const trainReference = { rows: await sequenceLogprobs(base, own.rows, 5), mismatched: await sequenceLogprobs(base, own.mismatched, 5) };
      const validationReference = { rows: new Float64Array(), mismatched: new Float64Array() };
      return kto(state, { train, trainReference, steps, validation: [], validationReference, evalSteps: 0, evalBatchSize: 4, maxLength: recipe.maxLength }, recipe);
    }
    const train = (run.rows as PairRow[]).map((row): PreferenceSequences => ({
      prompt: Int32Array.from(row.prompt_ids), chosen: Int32Array.from(row.chosen_ids), rejected: Int32Array.from(row.rejected_ids),
    }));
    const data = { train, steps, validation: [], evalSteps: 0, evalBatchSize: 4 };
    if (recipe.method === 'cpo') return cpo(state, data, recipe);
    if (recipe.method === 'orpo') return orpo(state, data, recipe);
    if (recipe.method !== 'dpo') throw new Error(`${recipe.method} does not train on preferences`);
    return dpo(state, { ...data, trainReference: await referenceLogprobs(base, train, 5), validationReference: new Float64Array() }, recipe);
  } finally {
    base.free();
  }
}

const plans = (run: Run<unknown>) => run.steps.map((microBatches) => microBatches.map((rows) => Int32Array.from(rows)));

/** What TRL logs and we leave out: means over whole rows of logits, which the engine never holds. */
const LEFT_OUT = ['logits/chosen', 'logits/rejected'];

function checkMetrics(reports: StepReport[], run: Run<unknown>, recipe: Recipe): void {
  expect(reports.map(({ step }) => step)).toEqual(run.metrics.map((_, i) => i + 1));
  let numTokens = 0;
  for (const { step, values, tokens } of reports) {
    numTokens += tokens;
    const logged = { ...run.metrics[step - 1] };
    if (recipe.method === 'cpo' && recipe.cpoAlpha === 0) delete logged.nll_loss; // TRL does not compute it then and logs 0
    for (const name of LEFT_OUT) delete logged[name];
    if (recipe.gradientAccumulationSteps > 1) {
      // TRL takes the mean of the micro-batches' means; we weigh them by tokens, as the loss is
      delete logged.entropy;
      delete logged.mean_token_accuracy;
      // TRL logs the mean of the micro-batches' extremes, we the step's
      delete logged.min_reward;
      delete logged.max_reward;
    }
    if (Math.abs(logged['rewards/margins'] ?? 1) < ABSOLUTE) delete logged['rewards/accuracies']; // the policy is its reference: which of two equal numbers is larger is noise
    for (const [name, want] of Object.entries(logged)) {
      const got = name === 'num_tokens' ? numTokens : values[name];
      expect(got, `${name} of step ${step}`).toBeTypeOf('number');
      const allowed = Math.max(RELATIVE * Math.abs(want), ABSOLUTE);
      expect(Math.abs(got - want), `${name} of step ${step}: got ${got}, TRL logged ${want}`).toBeLessThanOrEqual(allowed);
    }
  }
}

/** Against the few numbers kept of every tensor, and of adapters against every element. */
async function checkWeights(model: LanguageModel, name: string, run: Run<unknown>): Promise<void> {
  expect(model.parameters.map((p) => p.name).sort()).toEqual(Object.keys(run.weights).sort());
  const final = name.endsWith('-lora') ? await openSafetensors(fixture(`trl/${name}/final/adapter_model.safetensors`)) : null;
  for (const parameter of model.parameters) {
    const got = await readParameter(model.device, parameter);
    const want = run.weights[parameter.name];
    const sum = got.reduce((total, x) => total + x, 0);
    const norm = Math.hypot(...got);
    expect(Math.abs(norm - want.norm), `norm of ${parameter.name}`).toBeLessThan(RELATIVE * want.norm);
    expect(Math.abs(sum - want.sum), `sum of ${parameter.name}`).toBeLessThan(RELATIVE * want.norm);
    const elements = want.elements.map((_, i) => got[i * want.stride]);
    expect(relativeError(elements, want.elements), `elements of ${parameter.name}`).toBeLessThan(RELATIVE);
    const saved = parameter.name === 'score.weight' ? 'base_model.model.score.weight' : parameter.name;
    if (final) expect(relativeError(got, await final.read(saved)), parameter.name).toBeLessThan(RELATIVE);
  }
  await final?.close();
}
