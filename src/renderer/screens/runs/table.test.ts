import { expect, test } from 'vitest';
import type { RunSummary } from '../../../shared/api/runs.ts';
import { listed } from './table.ts';

const run = (id: number, fields: Partial<RunSummary>) =>
  ({
    id, name: `run-${id}`, method: 'sft', status: 'finished', last: {}, seconds: 0, createdAt: `2030-01-0${id}`, ...fields,
  }) as RunSummary;
const runs = [run(1, { last: { loss: 2 } }), run(2, { method: 'dpo', status: 'failed' }), run(3, { name: 'run-10', last: { loss: 1 } })];
const ids = (options: Partial<Parameters<typeof listed>[1]>) =>
  listed(runs, { status: '', method: '', sort: 'created', up: false, ...options }).map(({ id }) => id);

test('newest first, unless asked otherwise', () => {
  expect(ids({})).toEqual([3, 2, 1]);
  expect(ids({ sort: 'name', up: true })).toEqual([1, 2, 3]);
});

test('runs without a value stand last in both directions', () => {
  expect(ids({ sort: 'loss', up: true })).toEqual([3, 1, 2]);
  expect(ids({ sort: 'loss', up: false })).toEqual([1, 3, 2]);
});

test('filters by status and method', () => {
  expect(ids({ status: 'failed' })).toEqual([2]);
  expect(ids({ method: 'sft' })).toEqual([3, 1]);
});
