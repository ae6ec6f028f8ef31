/** What scores of held-out pairs say, by hand; and rankings in one batch with their prompt shared against each answer alone. */
import { describe, expect, test } from 'vitest';
import { packRankings, packTexts, type RankedSequences } from '../data/pack.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { relativeError, tinyModel } from '../model/testing.ts';
import { evaluateReward } from './reward.ts';
import { rewardReport } from './reward-report.ts';

const ids = (...tokens: number[]) => Int32Array.from(tokens);

describe('rankings', () => {
  const rows: RankedSequences[] = [
    { prompt: ids(1, 2, 3), answers: [ids(4, 5), ids(6), ids(7, 8, 9)], margin: 0 },
    { prompt: ids(10), answers: [ids(11, 12), ids(13)], margin: 0 },
  ];

  test('score as each answer does alone after its prompt', async () => {
    const model = await tinyModel(createReferenceDevice(), { trainable: 'none', numLabels: 1 });
    const together = await model.forwardScores(packRankings(rows));
    const alone = await model.forwardScores(packTexts(rows.flatMap(({ prompt, answers }) => answers.map((answer) => ids(...prompt, ...answer)))));
    expect(relativeError(together.scores, alone.scores)).toBeLessThan(1e-5);
  });

  test('are evaluated to the same numbers in whatever batches', async () => {
    const model = await tinyModel(createReferenceDevice(), { trainable: 'none', numLabels: 1 });
    const [whole, apart] = [await evaluateReward(model, rows, 2, 0.1), await evaluateReward(model, rows, 1, 0.1)];
    for (const [name, value] of Object.entries(whole.values)) expect(apart.values[name], name).toBeCloseTo(value, 6);
    expect(apart.scores.map((scores) => scores.length)).toEqual([3, 2]);
  });
});

test('the report counts scores by bins and holds confidence against what is right', () => {
  // σ(log 3) = 0.75: two pairs of that confidence, one right and one wrong; a ranking of three a certainty apart: three pairs, all right
  const report = rewardReport([Float32Array.of(Math.log(3), 0), Float32Array.of(0, Math.log(3)), Float32Array.of(60, 30, 0)]);
  expect(report.pairs).toBe(5);
  expect(report.scores).toMatchObject({ low: 0, width: 3 });
  expect(report.scores.chosen.reduce((sum, count) => sum + count)).toBe(5);
  expect(report.scores.chosen.at(-1)).toBe(2); // 60, better than 30 and than 0
  expect(report.scores.rejected[0]).toBe(4); // 0 three times, log 3 once
  const [middle, sure] = report.calibration.filter(({ pairs }) => pairs > 0);
  expect(middle).toMatchObject({ pairs: 2, accuracy: 0.5 });
  expect(middle.confidence).toBeCloseTo(0.75, 6);
  expect(sure).toMatchObject({ from: 0.95, pairs: 3, accuracy: 1 });
  expect(sure.confidence).toBeCloseTo(1, 6);
  // (2 · |0.75 − 0.5| + 3 · 0) / 5
  expect(report.calibrationError).toBeCloseTo(0.1, 6);
});
