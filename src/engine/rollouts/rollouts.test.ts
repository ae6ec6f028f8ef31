/** Sampling of answers in training, what is kept of them, and which a round of rejection sampling keeps. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { RolloutLine } from '../../shared/rollout-line.ts';
import { selectAnswers } from '../algorithms/rejection.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { openModelFolder } from '../formats/model-folder.ts';
import { loadLanguageModel } from '../model/language-model.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import type { Experience } from './rollout.ts';
import { drawToken, sampleRollouts } from './sample.ts';
import { createRolloutStore } from './store.ts';
import { createGoldWatch } from './watch.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-rollouts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('sampled answers', () => {
  it('are the same alone and beside others, differ by sample and step, and stop at their most tokens', async () => {
    const path = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));
    const opened = await openModelFolder(path);
    const model = await loadLanguageModel(createReferenceDevice(), opened, { storage: 'f32', trainable: 'none' });
    await opened.close();
    const tokenizer = await loadTokenizer(path);
    const prompts = [[1, 50, 60], [1, 51], [7]].map((tokens, row) => ({ row, tokens: Int32Array.from(tokens) }));
    const settings = { count: 3, maxTokens: 6, temperature: 1, seed: 5, step: 2 };
    const all = await sampleRollouts(model, tokenizer, prompts, settings);
    expect(all.map(({ row, sample }) => [row, sample])).toEqual([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]]);
    expect(await sampleRollouts(model, tokenizer, [prompts[1]], settings)).toEqual(all.slice(3, 6));
    expect(new Set(all.map(({ ids }) => ids.join())).size).toBe(9);
    expect((await sampleRollouts(model, tokenizer, [prompts[1]], { ...settings, step: 3 }))[0].ids).not.toEqual(all[3].ids);
    for (const { ids, finished } of all) {
      expect(finished ? ids.at(-1) : ids.length).toBe(finished ? tokenizer.eosIds[0] : 6);
      expect(ids.slice(0, -1).some((id) => tokenizer.eosIds.includes(id))).toBe(false);
    }
    model.free();
  });

  it('are drawn from softmax(logits / temperature)', () => {
    // e⁰ : e^(ln 3) = 1 : 3, at temperature ½ 1 : 9
    const logits = Float32Array.of(0, Math.log(3));
    expect([0, 0.24, 0.26, 0.99].map((u) => drawToken(logits, 1, () => u))).toEqual([0, 0, 1, 1]);
    expect([0.09, 0.11].map((u) => drawToken(logits, 0.5, () => u))).toEqual([0, 1]);
  });
});

describe('kept answers', () => {
  it('come back to the last bit', async () => {
    const store = createRolloutStore(folder, (row) => `prompt ${row}`);
    const experience: Experience = {
      rollouts: [{ row: 3, sample: 0, ids: Int32Array.of(5, 2), text: 'é', finished: true }, { row: 3, sample: 1, ids: Int32Array.of(9), text: '', finished: false }],
      scores: Float64Array.of(1 / 3, -0.1), rewards: { regex: Float64Array.of(1, 0) }, gold: null,
      oldLogprobs: [Float32Array.of(-0.1, -1e-9), Float32Array.of(Math.fround(-Math.PI))], refLogprobs: null,
    };
    expect(await store.read(0)).toBeNull();
    expect(await store.readScores(0)).toBeNull();
    await store.write(0, experience, { kept: [1], advantages: [[0.5], Float64Array.of(-0.5)] });
    expect(await store.read(0)).toEqual(experience);
    expect(await store.readScores(0)).toEqual({ scores: experience.scores, gold: null });
    const lines = readFileSync(join(folder, 'rollouts', 'step-000001.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as RolloutLine);
    expect(lines.map(({ kept, advantages }) => ({ kept, advantages }))).toEqual([{ kept: false, advantages: [0.5] }, { kept: true, advantages: [-0.5] }]);
  });
});

describe('rejection sampling keeps', () => {
  const answer = (row: number, sample: number, finished = true) => ({ row, sample, ids: Int32Array.of(1), text: '', finished });
  const judged = {
    rollouts: [answer(0, 0), answer(0, 1), answer(1, 0), answer(1, 1, false), answer(2, 0), answer(2, 1)],
    scores: Float64Array.of(1, 1, 0.2, 5, 0.5, 0.9), rewards: {}, gold: null,
  };
  const options = { rounds: 1, keep: 'best', keepFraction: 0.34, scoreThreshold: null, gradientAccumulationSteps: 1 } as const;
  it('the best of each prompt, the first of equals, none that was cut, none under the threshold', () => {
    expect(selectAnswers(judged, 2, options)).toEqual([0, 2, 5]);
    expect(selectAnswers(judged, 2, { ...options, scoreThreshold: 0.6 })).toEqual([0, 5]);
  });
  it('or the best share of all', () => {
    expect(selectAnswers(judged, 2, { ...options, keep: 'fraction' })).toEqual([0, 1]);
  });
});

describe('a gamed reward', () => {
  const show = (gold: (step: number) => number, options: object = {}) => {
    const notes: string[] = [];
    const watch = createGoldWatch({ goldLimit: null, stopWhenGamed: false, averaged: 10, ...options }, (text) => notes.push(text));
    for (let step = 0; step < 40; step++) {
      const ended = watch({ reward: step / 40 + 0.01 * (step % 2), gold: gold(step) + 0.01 * (step % 2) });
      if (ended !== undefined) return { notes, ended, steps: step + 1 };
    }
    return { notes, ended: undefined, steps: 40 };
  };
  const run = (gold: (step: number) => number) => show(gold).notes;
  it('is told once, with the numbers, when gold falls as the reward climbs', () => {
    const notes = run((step) => 0.5 - step / 100);
    expect(notes).toHaveLength(1);
    // means of steps 0 to 9 and 10 to 19: 4.5/40 + 0.005 and 14.5/40 + 0.005; 0.5 − 0.045 + 0.005 and 0.5 − 0.145 + 0.005
    expect(notes[0]).toContain('risen from 0.118 to 0.368 while gold has fallen from 0.460 to 0.360');
  });
  it('is not told when gold follows, or only wavers', () => {
    expect(run((step) => step / 100)).toEqual([]);
    expect(run((step) => 0.5 - 0.2 * (step % 2))).toEqual([]);
  });
  it('ends the run where that is asked for', () => {
    const { notes, ended, steps } = show((step) => 0.5 - step / 100, { stopWhenGamed: true });
    expect(notes).toEqual([]);
    expect(steps).toBe(20);
    expect(ended).toContain('gold has fallen from 0.460 to 0.360 (means of 10 steps): the reward is being gamed, and stopWhenGamed ends the run here');
  });
  it('ends the run where gold falls behind its best by more than the limit, and not while it is less', () => {
    // rises by 0.01 a step to step 20, then falls so: the mean of ten is highest over steps 16 to 25 (0.175 + 0.005), and 0.12 + 0.005 over steps 24 to 33
    const gold = (step: number) => (step <= 20 ? step : 40 - step) / 100;
    const best = Math.max(...Array.from({ length: 31 }, (_, from) => Array.from({ length: 10 }, (_, i) => gold(from + i)).reduce((sum, value) => sum + value, 0) / 10));
    expect(best).toBeCloseTo(0.175, 9);
    expect(show(gold, { goldLimit: 0.05 })).toMatchObject({ steps: 34, ended: expect.stringContaining('gold has fallen from 0.180, its best, to 0.120 (means of 10 steps), by more than goldLimit (0.05)') as string });
    expect(show(gold, { goldLimit: 0.2 }).ended).toBeUndefined();
    // a round of rejection sampling is a mean of its own
    expect(show(gold, { goldLimit: 0.05, averaged: 1 }).steps).toBeLessThan(30);
  });
});
