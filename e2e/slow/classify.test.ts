/** The shipped classifier on the embedded model and data: it tells clear answers from poor ones, and a filter by it finds the casual and wordy answers of the instruction set. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { ScoreResult } from '../../src/shared/job-results.ts';
import { createWorkplace, ROOT, type Workplace } from '../attune.ts';

const datasets = join(ROOT, 'resources', 'datasets');
let place: Workplace;

beforeAll(async () => {
  place = createWorkplace();
  const recipe = parse(readFileSync(join(ROOT, 'resources', 'recipes', 'classify.yaml'), 'utf8')) as object;
  const run = await place.attune(['train', place.write('classify.yaml', { ...recipe, dataset: join(datasets, 'quality.train.jsonl') })]);
  expect(run.code, run.stderr).toBe(0);
}, 600_000);
afterAll(() => place.remove());

it('labels at least 85 of 100 held-out texts rightly', async () => {
  const scored = await place.attune(['score', 'attune-quality', join(datasets, 'quality.validation.jsonl'), '--json']);
  expect(scored.code, scored.stderr).toBe(0);
  const result = JSON.parse(scored.stdout) as ScoreResult;
  expect(result).toMatchObject({ rows: 202, labels: ['clear', 'poor'], report: { type: 'classify' } });
  expect(result.accuracy).toBeGreaterThanOrEqual(0.85);
}, 120_000);

it('as a filter, takes most of the poor answers out of the instruction set and few of the clear ones', async () => {
  type Row = { instruction: string; input: string; output: string };
  const rows = readFileSync(join(datasets, 'instructions.train.jsonl'), 'utf8').trimEnd().split('\n').slice(0, 1000).map((line) => JSON.parse(line) as Row);
  // casual: no full stop; wordy: hedged, or said twice (scripts/resources/style.ts)
  const isPoor = ({ output }: Row): boolean => !output.endsWith('.') || /^(Well|I think)|As I said|^(.+\.) \2$/.test(output);
  const file = place.write('rows.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'));
  const scored = await place.attune(['score', 'attune-quality', file, '--rows']);
  const called = scored.stdout.trim().split('\n').map((line) => JSON.parse(line) as { row: number; scores: [clear: number, poor: number] }).filter(({ scores: [clear, poor] }) => clear < poor);
  const right = called.filter(({ row }) => isPoor(rows[row])).length;
  const [precision, recall] = [right / called.length, right / rows.filter(isPoor).length];
  console.log(`filter: ${called.length} of 1000 called poor, precision ${precision.toFixed(3)}, recall ${recall.toFixed(3)}`);
  expect(precision).toBeGreaterThan(0.8);
  expect(recall).toBeGreaterThan(0.8);

  expect((await place.attune(['import', file, '--name', 'rows'])).code).toBe(0);
  expect((await place.attune(['score', 'attune-quality', 'rows', '--keep', '--label', 'clear'])).code).toBe(0);
  const filtered = await place.attune(['filter', 'rows', '--below', '0.5', '--delete', '--json']);
  expect(JSON.parse(filtered.stdout)).toEqual({ rows: called.length, of: 1000, done: 'deleted' });
  const left = JSON.parse((await place.attune(['datasets', 'rows', '--json'])).stdout) as { files: { rows: number }[] };
  expect(left.files[0].rows).toBe(1000 - called.length);
}, 240_000);
