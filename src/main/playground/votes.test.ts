/** Votes and their scores, with figures worked out by hand; and pairs that a DPO run can train on. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Recipe } from '../../shared/recipe.ts';
import { Sampling } from '../../shared/sampling.ts';
import { addModel } from '../models/index.ts';
import { writeSplit } from '../runs/split.ts';
import { openWorkbench, type Workbench } from '../workbench.ts';
import { savePair } from './pairs.ts';
import { follow, isOver } from './testing.ts';
import { listVotes, scores, scoreVerdicts, vote, wilson } from './votes.ts';

const TINY = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));

describe('scores', () => {
  it('count the best against each other one, and the others not among themselves', () => {
    const three = (best: number | null, ratings: (number | null)[] = [null, null, null]) => ({ models: ['b', 'a', 'c'], best, ratings });
    const found = scoreVerdicts([three(0, [7, 3, null]), three(1, [4, 5, 1]), three(null), { models: ['a', 'b'], best: 1, ratings: [null, 6] }]);
    expect(found.map(({ a, b, wins, ties, losses }) => [a, b, wins, ties, losses])).toEqual([
      ['a', 'b', 1, 1, 2], // won the second, tied the third, lost the first and the last
      ['a', 'c', 1, 1, 0], // in the first vote neither was best: uncounted
      ['b', 'c', 1, 1, 0],
    ]);
    expect(found[0]).toMatchObject({ ratingA: (3 + 5) / 2, ratingB: (7 + 4 + 6) / 3, winRate: 1.5 / 4 });
    expect(found[1]).toMatchObject({ ratingA: 4, ratingB: 1 });
  });

  it('have Wilson’s interval: 8 of 10 lies between 0.4902 and 0.9433', () => {
    // z² = 3.84146; center (0.8 + 0.192073) / 1.384146 = 0.716740; half 1.959964 / 1.384146 · √(0.016 + 0.00960365) = 0.226576
    const { winRate, low, high } = wilson(8, 10);
    expect(winRate).toBe(0.8);
    expect(low).toBeCloseTo(0.4902, 4);
    expect(high).toBeCloseTo(0.9433, 4);
    expect(wilson(0, 0)).toEqual({ winRate: 0.5, low: 0, high: 1 });
    expect(wilson(5, 5).high).toBe(1);
  });

  it('leave a model against itself out', () => {
    expect(scoreVerdicts([{ models: ['a', 'a'], best: 0, ratings: [null, null] }])).toEqual([]);
  });
});

describe('in a session', () => {
  let root: string;
  let workbench: Workbench;
  let id: number;
  const say = async (text: string): Promise<void> => {
    workbench.playground.send(id, text);
    await follow(workbench.playground, id, isOver);
  };
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'attune-votes-'));
    workbench = openWorkbench({ kind: 'browser', choose: null, reveal: null, printPdf: null }, join(root, 'library'));
    addModel(workbench.library, TINY, 'one');
    addModel(workbench.library, TINY, 'two');
    id = workbench.playground.create({ models: ['one', 'two'], blind: true, sampling: Sampling.parse({ maxTokens: 6, temperature: 1 }) });
    await say('The dog');
  });
  afterAll(async () => {
    await workbench.close();
    rmSync(root, { recursive: true });
  });

  it('a vote is kept with all it was about, a second one replaces it, and a change of mind after the names is not blind', () => {
    vote(workbench, { id, turn: 0, best: 1, ratings: [2, 6] });
    const [first] = listVotes(workbench.library, 10);
    expect(first).toMatchObject({ prompt: 'The dog', ratings: [2, 6], blind: true });
    expect(first.best).toBe(first.models[1]);
    vote(workbench, { id, turn: 0, best: 1, ratings: [1, 7] });
    expect(listVotes(workbench.library, 10)).toMatchObject([{ id: first.id, ratings: [1, 7], blind: true }]);
    vote(workbench, { id, turn: 0, best: null, ratings: [] });
    expect(listVotes(workbench.library, 10)).toMatchObject([{ id: first.id, best: null, ratings: [null, null], blind: false }]);
    expect(scores(workbench.library)).toMatchObject([{ a: 'one', b: 'two', wins: 0, ties: 1, losses: 0, winRate: 0.5 }]);
  });

  it('a vote that makes no sense is refused with a sentence', async () => {
    expect(() => vote(workbench, { id, turn: 7, best: 0, ratings: [] })).toThrow(/not in the conversation/);
    expect(() => vote(workbench, { id, turn: 0, best: 3, ratings: [] })).toThrow(/no column 4/);
    expect(() => vote(workbench, { id, turn: 0, best: 0, ratings: [1, 2, 3] })).toThrow(/2 columns to rate, not 3/);
    const alone = workbench.playground.create({ models: ['one'], blind: false });
    workbench.playground.send(alone, 'x');
    await follow(workbench.playground, alone, isOver);
    expect(() => vote(workbench, { id: alone, turn: 0, best: 0, ratings: [] })).toThrow(/two answers or more/);
  });

  it('outlives its session', () => {
    const other = workbench.playground.create({ models: ['one', 'two'], blind: false });
    workbench.playground.remove(other);
    expect(listVotes(workbench.library, 10)).toHaveLength(1);
    expect(() => workbench.playground.send(other, 'x')).toThrow(/not in the library any more/);
  });

  it('a pair becomes a row that a DPO run trains on: a bare prompt as text, a conversation as messages', async () => {
    expect(await savePair(workbench, { id, turn: 0, chosen: 0, rejected: 'A bad answer.', dataset: 'from talks' })).toEqual({ dataset: 'from talks', rows: 1 });
    workbench.playground.configure(id, { system: 'Be brief.' });
    await say('And then?');
    expect(await savePair(workbench, { id, turn: 1, chosen: 'A good answer.', rejected: 1, dataset: 'from talks' })).toEqual({ dataset: 'from talks', rows: 2 });

    const recipe = Recipe.parse({ method: 'dpo', model: 'one', dataset: 'from talks', evalRatio: 0 });
    const { train } = await writeSplit(workbench.library, recipe, root, () => {});
    const rows = readFileSync(train, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    const { turns } = (await follow(workbench.playground, id, () => true)).session;
    expect(rows[0]).toEqual({ kind: 'preference', prompt: 'The dog', chosen: turns[0].answers[0].text, rejected: 'A bad answer.' });
    expect(rows[1]).toMatchObject({ kind: 'preference', chosen: 'A good answer.', rejected: turns[1].answers[1].text });
    expect(rows[1].prompt).toMatchObject([{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'The dog' }, { role: 'assistant' }, { role: 'user', content: 'And then?' }]);
  });

  it('a pair of nothing, or of the same twice, is refused', async () => {
    const pair = { id, turn: 0, dataset: 'from talks' };
    await expect(savePair(workbench, { ...pair, chosen: 'x', rejected: 'x' })).rejects.toThrow(/both answers are the same/);
    await expect(savePair(workbench, { ...pair, chosen: ' ', rejected: 0 })).rejects.toThrow(/better answer is empty/);
    await expect(savePair(workbench, { ...pair, chosen: 5, rejected: 0 })).rejects.toThrow(/no column 6/);
  });
});
