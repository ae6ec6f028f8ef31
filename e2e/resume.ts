/**
 * Runs driven in a real engine process and killed there, on a model so small that a step takes milliseconds. Not a test: resume.test.ts and
 * slow/resume.test.ts say what must hold.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { startEngine } from '../src/main/engine.ts';
import type { Job } from '../src/shared/job.ts';
import { Recipe, ROWS_OF } from '../src/shared/recipe.ts';

const resources = fileURLToPath(new URL('../resources', import.meta.url));
const base = join(resources, 'models', 'attune-base');

type Overrides = { method: string } & Record<string, unknown>;

export type EngineRuns = {
  /** The untrained model, and one with experts. */
  tiny: string;
  mixture: string;
  /** Trains from `model` in the folder `name`, or goes on there; the last checkpoint's sha256, or null when it was killed after step `killAt`. */
  drive(name: string, overrides: Overrides, model: string, options?: { threads?: number; killAt?: number }): Promise<string | null>;
  /** Where a run is. */
  folderOf(name: string): string;
  /** The newest checkpoint of a run. */
  newest(name: string): string;
  /**
   * Uninterrupted with two threads; then killed `kills` times, each time somewhere in its next stretch of steps, and left to end with one: the same bytes.
   */
  expectSameAfterKills(name: string, overrides: Overrides & { maxSteps: number }, model: string, kills: number): Promise<void>;
  remove(): void;
};

export function createEngineRuns(): EngineRuns {
  const folder = mkdtempSync(join(tmpdir(), 'attune-resume-'));
  writeTinyModel(join(folder, 'tiny'), {});
  writeTinyModel(join(folder, 'mixture'), MIXTURE);
  writeRows(folder);

  function job(name: string, overrides: Overrides, model: string, threads: number): Job {
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

  const drive: EngineRuns['drive'] = async (name, overrides, model, { threads = 2, killAt = Infinity } = {}) => {
    const engine = startEngine(job(name, overrides, model, threads));
    let timer: NodeJS.Timeout | undefined;
    let sha256: string | null = null;
    try {
      for await (const event of engine.events) {
        if (event.type === 'checkpoint') sha256 = event.sha256;
        if (event.type === 'found') sha256 = event.checkpoint.sha256;
        // within milliseconds, so that it may fall into a step, between two, or into a checkpoint being written
        if (event.type === 'progress' && event.step >= killAt) timer ??= setTimeout(() => engine.kill(), Math.random() * 10);
      }
      return sha256;
    } catch (error) {
      if (!timer || !String(error).includes('SIGKILL')) throw error;
      return null;
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    tiny: join(folder, 'tiny'),
    mixture: join(folder, 'mixture'),
    drive,
    folderOf: (name) => join(folder, name),
    newest(name) {
      const checkpoints = join(folder, name, 'checkpoints');
      return join(checkpoints, readdirSync(checkpoints).sort().at(-1)!);
    },
    async expectSameAfterKills(name, overrides, model, kills) {
      const whole = await drive(`${name}-whole`, overrides, model);
      expect(whole).toMatch(/^[0-9a-f]{64}$/);
      let killed = 0;
      // a kill that came after the end is none: on a busy machine the whole run can go by before it is heard of
      for (let round = 1; killed === 0; round++) {
        for (let i = 0; i < kills; i++) {
          const killAt = Math.floor(((i + Math.random()) / kills) * (overrides.maxSteps / round));
          if ((await drive(`${name}-killed-${round}`, overrides, model, { killAt })) === null) killed++;
        }
        expect(await drive(`${name}-killed-${round}`, overrides, model, { threads: 1 })).toBe(whole);
      }
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A shared expert, routed ones, and a router worth balancing. */
const MIXTURE = {
  architectures: ['Qwen2MoeForCausalLM'], model_type: 'qwen2_moe', num_experts: 6, num_experts_per_tok: 2, moe_intermediate_size: 24, shared_expert_intermediate_size: 32,
  router_aux_loss_coef: 0.01,
};

/** With the embedded model's tokenizer. */
function writeTinyModel(folder: string, more: object): void {
  mkdirSync(folder);
  for (const name of readdirSync(base)) if (name.startsWith('tokenizer') || name.startsWith('special')) cpSync(join(base, name), join(folder, name));
  const config = JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as Record<string, unknown>;
  const tiny = { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 16 };
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...tiny, ...more }));
}

function writeRows(folder: string): void {
  const rows = (name: string, count: number, kind: string) => {
    const lines = readFileSync(join(resources, 'datasets', name), 'utf8').trim().split('\n').slice(0, count);
    writeFileSync(join(folder, name), lines.map((line) => JSON.stringify({ kind, ...(JSON.parse(line) as object) })).join('\n') + '\n');
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
}

/** Two steps a batch of answers, checkpoints between them: the answers of a policy that is gone are read again. */
const online = {
  rewards: [{ type: 'length', max: 6 }, { type: 'regex', pattern: '[aeiou]', weight: 0.5 }], perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 2,
  maxCompletionLength: 10, saveSteps: 3, maxSteps: 12,
};
const groups = { ...online, numGenerations: 4, numIterations: 2 };

/** What is killed and resumed, by name: every method, and what of a method is kept in a place of its own. */
export const METHODS = {
  lora: { method: 'sft', lora: { r: 4, loraDropout: 0.1 }, maxSteps: 20 },
  dora: { method: 'sft', lora: { r: 4, useDora: true }, maxSteps: 20 },
  // on blocks, made again from the same file
  qlora: { method: 'sft', lora: { r: 4, loraDropout: 0.1, baseWeights: 'q4_0' }, maxSteps: 20 },
  'dpo-qlora': { method: 'dpo', lora: { r: 4, baseWeights: 'q8_0' }, maxSteps: 20 },
  'ppo-qlora': { ...online, method: 'ppo', lora: { r: 4, baseWeights: 'q4_0' }, maxSteps: 8, saveSteps: 2 },
  // its reference log-probs are kept
  dpo: { method: 'dpo', maxSteps: 20 },
  cpo: { method: 'cpo', lossType: 'simpo', maxSteps: 20 },
  orpo: { method: 'orpo', maxSteps: 20 },
  // its KL is estimated from rows of the step
  kto: { method: 'kto', maxSteps: 20 },
  // a head and its scores
  reward: { method: 'reward', maxSteps: 20 },
  'reward-lora': { method: 'reward', lora: { r: 4, loraDropout: 0.1 }, maxSteps: 20 },
  classify: { method: 'classify', maxSteps: 20 },
  'classify-head': { method: 'classify', freezeTrunk: true, maxSteps: 20 },
  // its answers, full weights and a reference
  grpo: { ...groups, method: 'grpo', beta: 0.05 },
  'rloo-lora': { ...groups, method: 'rloo', lora: { r: 4 } },
  // its value model and an adapting KL coefficient
  ppo: { ...online, method: 'ppo', numMiniBatches: 2, numPpoEpochs: 2, targetKl: 0.1, klHorizon: 50, maxSteps: 8, saveSteps: 2, missingEosPenalty: 1 },
  // policy, reference and value model on one base; gold is any number that wavers: the first mean of ten below the best ends the run
  'ppo-lora': {
    ...online, method: 'ppo', lora: { r: 4 }, goldReward: { type: 'length', unit: 'characters', max: 25 }, goldLimit: 1e-6, maxSteps: 24, saveSteps: 2,
  },
  // in two rounds
  rejection: { ...online, numGenerations: 4, method: 'rejection', rounds: 2, keep: 'fraction', maxCompletionLength: 40, keepFraction: 0.5 },
} satisfies Record<string, Overrides & { maxSteps: number }>;
