/**
 * The shipped reward recipes on the embedded model and data, each on one half of the pairs: they tell held-out pairs apart, say how sure they are, and
 * cannot be mistaken for language models.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { ScoreResult } from '../../src/shared/job-results.ts';
import type { Judging } from '../../src/shared/judging.ts';
import { createWorkplace, ROOT, type Workplace } from '../attune.ts';

const datasets = join(ROOT, 'resources', 'datasets');
let place: Workplace;

beforeAll(async () => {
  place = createWorkplace();
  for (const name of ['reward', 'gold']) {
    const recipe = parse(readFileSync(join(ROOT, 'resources', 'recipes', `${name}.yaml`), 'utf8')) as object;
    const file = place.write(`${name}.yaml`, { ...recipe, dataset: join(datasets, 'preferences.train.jsonl') });
    const run = await place.attune(['train', file]);
    expect(run.code, run.stderr).toBe(0);
  }
}, 600_000);
afterAll(() => place.remove());

it.each(['attune-reward', 'attune-gold'])('%s scores the better answer of at least nine held-out pairs in ten higher, and knows how sure it may be', async (model) => {
  const scored = await place.attune(['score', model, join(datasets, 'preferences.validation.jsonl'), '--json']);
  expect(scored.code, scored.stderr).toBe(0);
  const result = JSON.parse(scored.stdout) as ScoreResult;
  expect(result.rows).toBe(202);
  expect(result.accuracy).toBeGreaterThanOrEqual(0.9);
  expect(result.report).toMatchObject({ type: 'reward', pairs: 202 });
  expect((result.report as { calibrationError: number }).calibrationError).toBeLessThan(0.1);
});

it('judges pairs in a person\'s place (RLAIF) with an agreement well above chance', async () => {
  const judged = await place.attune(['judge', 'attune-reward', join(datasets, 'preferences.validation.jsonl'), '--name', 'judged', '--json']);
  expect(judged.code, judged.stderr).toBe(0);
  const { agreement, rubric, placeDecides } = JSON.parse(judged.stdout) as Judging;
  expect({ rubric, placeDecides }).toEqual({ rubric: null, placeDecides: 0 });
  expect(agreement!.accuracy.low).toBeGreaterThan(0.85);
}, 120_000);

it('ranks several answers to one prompt, and gives a score for each', async () => {
  const rows = [{ prompt: 'Name three kinds of aircraft.', responses: ['Plane, airplane, and fighter are kinds of aircraft.', 'Kinds of aircraft are kinds of aircraft.', 'aircraft aircraft'] }];
  const file = place.write('rankings.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'));
  const scored = await place.attune(['score', 'attune-reward', file, '--rows']);
  const { row, scores } = JSON.parse(scored.stdout.trim()) as { row: number; scores: number[] };
  expect(row).toBe(0);
  expect(scores).toHaveLength(3);
  expect(scores[0]).toBeGreaterThan(scores[1]);
});

it('is refused where a text is to be written, in a sentence', async () => {
  const said = await place.attune(['sample', 'attune-reward', '--prompt', 'Hello']);
  expect(said.code).toBe(1);
  expect(said.stderr).toContain('this is a reward model: it scores texts and writes none');
});
