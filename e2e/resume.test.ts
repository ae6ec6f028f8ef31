/**
 * Bit-exact runs, proven on the real engine process: killed with SIGKILL at random instants and resumed, a run ends with the same sha256
 * as one never interrupted; so does the same recipe with another number of threads. Full weights, LoRA, every method on preferences, reward models and
 * classifiers.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Job } from '../src/shared/job.ts';
import { Recipe, ROWS_OF } from '../src/shared/recipe.ts';
import { findCheckpoint } from '../src/engine/checkpoint.ts';
import { startEngine } from '../src/main/engine.ts';

const resources = fileURLToPath(new URL('../resources', import.meta.url));
const base = join(resources, 'models', 'attune-base');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'attune-resume-'));
  // a model so small that a step takes milliseconds, with the embedded model's tokenizer
  mkdirSync(join(folder, 'tiny'));
  for (const name of readdirSync(base)) if (name.startsWith('tokenizer') || name.startsWith('special')) cpSync(join(base, name), join(folder, 'tiny', name));
  const config = JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as Record<string, unknown>;
  const tiny = { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 16 };
  writeFileSync(join(folder, 'tiny', 'config.json'), JSON.stringify({ ...config, ...tiny }));
  const rows = (name: string, count: number, kind: string) => {
    const lines = readFileSync(join(resources, 'datasets', name), 'utf8').trim().split('\n').slice(0, count);
    const file = join(folder, name);
    writeFileSync(file, lines.map((line) => JSON.stringify({ kind, ...(JSON.parse(line) as object) })).join('\n') + '\n');
    return file;
  };
  rows('instructions.train.jsonl', 160, 'instruction');
  rows('instructions.validation.jsonl', 20, 'instruction');
  rows('preferences.train.jsonl', 96, 'preference');
  rows('preferences.validation.jsonl', 16, 'preference');
  // which of the two answers it is: something to classify
  for (const split of ['train', 'validation']) {
    const pairs = readFileSync(join(folder, `preferences.${split}.jsonl`), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { chosen: string; rejected: string });
    const lines = pairs.flatMap(({ chosen, rejected }) => [{ kind: 'classification', text: chosen, label: 'good' }, { kind: 'classification', text: rejected, label: 'bad' }]);
    writeFileSync(join(folder, `labels.${split}.jsonl`), lines.map((line) => JSON.stringify(line)).join('\n') + '\n');
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Drives one engine process; kills it within milliseconds after step `killAt` when given. Returns the last checkpoint's sha256, or null when it was killed. */
async function drive(job: Job, killAt = Infinity): Promise<string | null> {
  const engine = startEngine(job);
  let timer: NodeJS.Timeout | undefined;
  let sha256: string | null = null;
  try {
    for await (const event of engine.events) {
      if (event.type === 'checkpoint') sha256 = event.sha256;
      if (event.type === 'progress' && event.step >= killAt) timer ??= setTimeout(() => engine.kill(), Math.random() * 10);
    }
    return sha256;
  } catch (error) {
    if (!timer || !String(error).includes('SIGKILL')) throw error;
    return null;
  } finally {
    clearTimeout(timer);
  }
}

function job(name: string, overrides: Record<string, unknown>, model: string, threads = 2): Job {
  const rows = ROWS_OF[overrides.method as Recipe['method']];
  const data = rows === 'texts' ? 'instructions' : rows === 'labels' ? 'labels' : 'preferences';
  const recipe = Recipe.parse({
    model: 'tiny', dataset: data, perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 2, maxLength: 64, evalSteps: 4, saveSteps: 2,
    optimizer: { learningRate: 1e-3 }, seed: 3, ...overrides,
  });
  return {
    type: 'train', device: 'native', threads, folder: join(folder, name), recipe, model: { folder: model }, models: {},
    train: join(folder, `${data}.train.jsonl`), validation: join(folder, `${data}.validation.jsonl`),
  };
}

/** Uninterrupted, then killed `kills` times, each time somewhere in its next stretch of steps, then left to end. */
async function expectSameAfterKills(name: string, overrides: { maxSteps: number } & Record<string, unknown>, model: string, kills: number): Promise<void> {
  const whole = await drive(job(`${name}-whole`, overrides, model));
  expect(whole).toMatch(/^[0-9a-f]{64}$/);
  let killed = 0;
  for (let i = 0; i < kills; i++) {
    const step = Math.floor(((i + Math.random()) / kills) * overrides.maxSteps);
    if ((await drive(job(`${name}-killed`, overrides, model), step)) === null) killed++;
  }
  expect(await drive(job(`${name}-killed`, overrides, model))).toBe(whole);
  expect(killed).toBeGreaterThan(0);
}

describe('a run killed at random instants and resumed', () => {
  it('ends bit-identical: full weights, ten kills', async () => {
    await expectSameAfterKills('pretrain', { method: 'pretrain', fromScratch: true, maxSteps: 40 }, join(folder, 'tiny'), 10);
  }, 120_000);

  it('ends bit-identical: LoRA with dropout', async () => {
    const start = await newest('pretrain-whole');
    await expectSameAfterKills('lora', { method: 'sft', lora: { r: 4, loraDropout: 0.1 }, maxSteps: 20 }, start, 3);
  }, 60_000);

  it('ends bit-identical: DPO, whose reference log-probs are kept', async () => {
    const start = await newest('pretrain-whole');
    await expectSameAfterKills('dpo', { method: 'dpo', maxSteps: 20 }, start, 3);
  }, 60_000);

  it.each([
    ['reward', { method: 'reward', maxSteps: 20 }],
    ['reward-lora', { method: 'reward', lora: { r: 4, loraDropout: 0.1 }, maxSteps: 20 }],
    ['classify', { method: 'classify', maxSteps: 20 }],
    ['classify-head', { method: 'classify', freezeTrunk: true, maxSteps: 20 }],
  ])('ends bit-identical, with a head and its scores: %s', async (name, overrides) => {
    await expectSameAfterKills(name, overrides, await newest('pretrain-whole'), 2);
  }, 60_000);
  it('ends bit-identical: KTO, whose KL is estimated from rows of the step; CPO and ORPO', async () => {
    const start = await newest('pretrain-whole');
    await expectSameAfterKills('kto', { method: 'kto', maxSteps: 20 }, start, 3);
    await expectSameAfterKills('cpo', { method: 'cpo', lossType: 'simpo', maxSteps: 10 }, start, 1);
    await expectSameAfterKills('orpo', { method: 'orpo', maxSteps: 10 }, start, 1);
  }, 120_000);

  // two steps a batch of answers, checkpoints between them: the answers of a policy that is gone are read again
  const online = {
    rewards: [{ type: 'length', max: 6 }, { type: 'regex', pattern: '[aeiou]', weight: 0.5 }], perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 2,
    numGenerations: 4, numIterations: 2, maxCompletionLength: 10, saveSteps: 3, maxSteps: 12,
  };
  it('ends bit-identical: GRPO with its answers, full weights and a reference', async () => {
    const start = await newest('pretrain-whole');
    await expectSameAfterKills('grpo', { ...online, method: 'grpo', beta: 0.05 }, start, 3);
  }, 90_000);

  it('ends bit-identical: RLOO with LoRA', async () => {
    const start = await newest('pretrain-whole');
    await expectSameAfterKills('rloo', { ...online, method: 'rloo', lora: { r: 4 } }, start, 3);
  }, 90_000);

  it('ends bit-identical: PPO with its value model and an adapting KL coefficient', async () => {
    const start = await newest('pretrain-whole');
    const { numGenerations: _, numIterations: __, ...shared } = online;
    await expectSameAfterKills('ppo', { ...shared, method: 'ppo', numMiniBatches: 2, numPpoEpochs: 2, targetKl: 0.1, klHorizon: 50, maxSteps: 8, saveSteps: 2, missingEosPenalty: 1 }, start, 3);
  }, 90_000);

  it('ends bit-identical: PPO with LoRA, policy, reference and value model on one base, until gold falls behind its best', async () => {
    const start = await newest('pretrain-whole');
    const { numGenerations: _, numIterations: __, ...shared } = online;
    // gold is any number that wavers: the first mean of ten below the best ends the run
    const gold = { goldReward: { type: 'length', unit: 'characters', max: 25 }, goldLimit: 1e-6 };
    const overrides = { ...shared, ...gold, method: 'ppo', lora: { r: 4 }, maxSteps: 24, saveSteps: 2 };
    await expectSameAfterKills('ppo-lora', overrides, start, 3);
    const { state } = (await findCheckpoint(join(folder, 'ppo-lora-whole')))!;
    expect(state.ended).toContain('goldLimit (0.000001)');
    expect(state.step).toBeLessThan(24);
    // and once more: what has ended stays so
    expect(await drive(job('ppo-lora-killed', overrides, start))).toMatch(/^[0-9a-f]{64}$/);
    expect((await findCheckpoint(join(folder, 'ppo-lora-killed')))!.state.step).toBe(state.step);
  }, 90_000);

  it('ends bit-identical: rejection sampling in two rounds', async () => {
    const start = await newest('pretrain-whole');
    const { numIterations: _, ...shared } = online;
    await expectSameAfterKills('rejection', { ...shared, method: 'rejection', rounds: 2, keep: 'fraction', maxCompletionLength: 40, keepFraction: 0.5 }, start, 3);
  }, 90_000);
});

describe('the same recipe and seed', () => {
  it.each(['dpo', 'cpo', 'orpo', 'kto'])('gives the same sha256 with 1 and 2 threads: %s', async (method) => {
    const start = await newest('pretrain-whole');
    const overrides = { method, maxSteps: 5 };
    expect(await drive(job(`${method}-1`, overrides, start, 1))).toBe(await drive(job(`${method}-2`, overrides, start)));
  }, 60_000);

  it('gives the same sha256 twice, and with 1 and 2 threads; another seed gives another', async () => {
    const overrides = { method: 'sft', maxSteps: 10 };
    const start = await newest('pretrain-whole');
    const [first, again, oneThread, otherSeed] = [
      await drive(job('sft-a', overrides, start)),
      await drive(job('sft-b', overrides, start)),
      await drive(job('sft-1', overrides, start, 1)),
      await drive(job('sft-seed', { ...overrides, seed: 4 }, start)),
    ];
    expect(again).toBe(first);
    expect(oneThread).toBe(first);
    expect(otherSeed).not.toBe(first);
  }, 60_000);

  it('gives the same reward model with 1 and 2 threads', async () => {
    const start = await newest('pretrain-whole');
    const overrides = { method: 'reward', maxSteps: 10 };
    expect(await drive(job('reward-1', overrides, start, 1))).toBe(await drive(job('reward-2', overrides, start)));
  }, 60_000);
});

describe('answers sampled in training', () => {
  it('are the same with 1 and 2 threads', async () => {
    const start = await newest('pretrain-whole');
    const overrides = { method: 'grpo', rewards: [{ type: 'length', max: 6 }], perDeviceTrainBatchSize: 8, gradientAccumulationSteps: 1, numGenerations: 4, maxCompletionLength: 10, maxSteps: 4 };
    expect(await drive(job('grpo-1', overrides, start, 1))).toBe(await drive(job('grpo-2', overrides, start, 2)));
  }, 60_000);
});

async function newest(run: string): Promise<string> {
  const checkpoints = join(folder, run, 'checkpoints');
  return join(checkpoints, readdirSync(checkpoints).sort().at(-1)!);
}
