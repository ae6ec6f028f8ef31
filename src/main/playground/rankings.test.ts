/** Rankings of answers: how they are asked for, hidden until the order is saved, kept through a restart, and a row that a reward model can train on. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Session } from '../../shared/api/playground.ts';
import { Sampling } from '../../shared/sampling.ts';
import { getDataset, readRows } from '../datasets/index.ts';
import { addModel } from '../models/index.ts';
import { openWorkbench, type Workbench } from '../workbench.ts';
import { planAnswers, rank, saveRanking, undoRanking } from './rankings.ts';
import { follow, isOver } from './testing.ts';

const TINY = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));
const sampling = Sampling.parse({ maxTokens: 8, temperature: 2, seed: 5 });

describe('answers to rank', () => {
  it('go round the models, each with its own seed, a model’s temperatures spread about the one that is set', () => {
    const plan = planAnswers({ models: ['a', 'b'], sampling, answersToRank: 5 });
    expect(plan.map(({ slot }) => slot)).toEqual([0, 1, 0, 1, 0]);
    expect(plan.map(({ sampling: { seed } }) => seed)).toEqual([5, 6, 7, 8, 9]);
    expect(plan.map(({ sampling: { temperature } }) => temperature)).toEqual([1.5, 1.5, 2, 2.5, 2.5]);
  });

  it('are never fewer than the models, never hotter than may be; without a number all are sampled alike', () => {
    expect(planAnswers({ models: ['a', 'b', 'c'], sampling, answersToRank: 2 }).map(({ slot, sampling: { temperature } }) => [slot, temperature])).toEqual([[0, 2], [1, 2], [2, 2]]);
    expect(planAnswers({ models: ['a'], sampling: { ...sampling, temperature: 10 }, answersToRank: 2 }).map(({ sampling: { temperature } }) => temperature)).toEqual([7.5, 10]);
    expect(planAnswers({ models: ['a', 'b'], sampling, answersToRank: null })).toEqual([{ slot: 0, sampling }, { slot: 1, sampling }]);
  });
});

describe('a ranking', () => {
  let root: string;
  let workbench: Workbench;
  let id: number;
  const now = async (): Promise<Session> => (await follow(workbench.playground, id, isOver)).session;
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'attune-rankings-'));
    workbench = openWorkbench({ kind: 'browser', choose: null, reveal: null, printPdf: null }, join(root, 'library'));
    addModel(workbench.library, TINY, 'one');
    addModel(workbench.library, TINY, 'two');
    id = workbench.playground.create({ models: ['one', 'two'], blind: false, answersToRank: 4, sampling });
    workbench.playground.send(id, 'The dog');
    await now();
  });
  afterAll(async () => {
    await workbench.close();
    rmSync(root, { recursive: true });
  });

  it('is blind until it is saved, and its order is kept on the way', async () => {
    const before = (await now()).turns[0];
    expect(before.answers.map(({ model }) => model)).toEqual([null, null, null, null]);
    expect(before.ranking).toEqual({ order: [0, 1, 2, 3], savedTo: null });
    expect(new Set(before.answers.map(({ text }) => text)).size).toBeGreaterThan(1);
    rank(workbench, { id, turn: 0, order: [2, 0, 3, 1] });
    expect((await now()).turns[0]).toMatchObject({ ranking: { order: [2, 0, 3, 1] }, answers: [{ model: null }, { model: null }, { model: null }, { model: null }] });
  });

  it('that makes no sense is refused with a sentence', async () => {
    expect(() => rank(workbench, { id, turn: 0, order: [0, 1, 2] })).toThrow(/each of the 4 answers once/);
    expect(() => rank(workbench, { id, turn: 0, order: [0, 1, 2, 2] })).toThrow(/each of the 4 answers once/);
    await expect(undoRanking(workbench, { id, turn: 0 })).rejects.toThrow(/not saved/);
  });

  it('of a model that cannot answer says why: there is nothing to be blind about', async () => {
    cpSync(TINY, join(root, 'gone'), { recursive: true });
    addModel(workbench.library, join(root, 'gone'), 'gone');
    const gone = workbench.playground.create({ models: ['gone'], blind: false, answersToRank: 2, sampling });
    rmSync(join(root, 'gone'), { recursive: true });
    workbench.playground.send(gone, 'The dog');
    const { answers } = (await follow(workbench.playground, gone, isOver)).session.turns[0];
    expect(answers).toMatchObject([{ model: 'gone', state: 'failed' }, { model: 'gone', state: 'failed' }]);
    expect(answers[0].error).not.toMatch(/shown when/);
    await expect(saveRanking(workbench, { id: gone, turn: 0, dataset: 'ranked' })).rejects.toThrow(/two answers that differ/);
  });

  it('becomes a row, best first; names are told; what is taken back can be ordered and saved again', async () => {
    const { answers } = (await now()).turns[0];
    const inOrder = [2, 0, 3, 1].map((column) => answers[column].text);
    const rows = (): unknown[] => getDataset(workbench.library, 'ranked').files.flatMap(({ id: file }) => [...readRows(workbench.library, file)].map(({ json }) => JSON.parse(json) as unknown));
    expect(await saveRanking(workbench, { id, turn: 0, dataset: ' ranked ' })).toMatchObject({ dataset: 'ranked', rows: 1 });
    expect(rows()).toEqual([{ kind: 'ranking', prompt: 'The dog', responses: [...new Set(inOrder)] }]);
    const told = (await now()).turns[0];
    expect(told.ranking?.savedTo).toBe('ranked');
    expect(told.answers.map(({ model }) => model).sort()).toEqual(['one', 'one', 'two', 'two']);
    await expect(saveRanking(workbench, { id, turn: 0, dataset: 'ranked' })).rejects.toThrow(/already/);
    expect(() => rank(workbench, { id, turn: 0, order: [0, 1, 2, 3] })).toThrow(/take the row back/);

    await undoRanking(workbench, { id, turn: 0 });
    expect(rows()).toEqual([]);
    expect((await now()).turns[0]).toMatchObject({ ranking: { order: [2, 0, 3, 1], savedTo: null }, answers: told.answers.map(({ model }) => ({ model })) });
    rank(workbench, { id, turn: 0, order: [0, 1, 2, 3] });
    await saveRanking(workbench, { id, turn: 0, dataset: 'ranked' });
    expect(rows()).toHaveLength(1);
  });
});
