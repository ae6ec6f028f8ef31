/** A watched run: a snapshot, then what is new; a window that comes back; runs of another process; long curves in slices; what a deletion takes. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Curves, RunEvent } from '../../shared/api/runs.ts';
import { insertMetrics } from '../db/metrics.ts';
import { insertLog } from '../db/run-log.ts';
import { getRun, insertRun, updateRun } from '../db/runs.ts';
import { OWNER } from '../process-identity.ts';
import { readWholeCurves } from './curves.ts';
import { getRunById } from './index.ts';
import { createTestPlace, readUntil, reachStep, type TestPlace } from './testing.ts';
import { measureFootprint } from './upkeep.ts';
import { watchRun } from './watch.ts';

let place: TestPlace;
beforeEach(() => {
  place = createTestPlace();
});
afterEach(() => place.remove());

const watch = (id: number, signal?: AbortSignal) => watchRun(place.workbench.library, place.workbench.runs, id, signal);
const isEnd = (event: RunEvent) => event.type === 'run' && ['finished', 'stopped', 'interrupted'].includes(event.run.status);
const points = (events: RunEvent[]): Curves[] => events.flatMap((event) => (event.type === 'points' || event.type === 'snapshot' ? [event.curves] : []));
/** A run of which another process says it is at work on it. */
function foreignRun(steps: number): number {
  const { db } = place.workbench.library;
  const id = insertRun(db, { name: `foreign-${steps}`, method: 'sft', recipe: place.sft(), model: { folder: '/m' }, parentCheckpointId: null, seed: 1, owner: OWNER });
  updateRun(db, id, { status: 'running', attempt: 1 });
  const names = ['loss', 'grad_norm', 'learning_rate', 'mean_token_accuracy', 'entropy', 'epoch', 'rewards/chosen', 'rewards/rejected', 'rewards/margins'];
  const all = Array.from({ length: steps }, (_, i) => ({
    step: i + 1, seconds: i / 10, values: { num_tokens: 100 * i, ...Object.fromEntries(names.map((name) => [name, Math.random()])) },
  }));
  insertMetrics(db, id, all);
  return id;
}

test('snapshot, then every step once and in order, samples, log and progress, until the window goes; one that comes back sees it all at once', async () => {
  const { id } = place.workbench.runs.start(place.sft({ numTrainEpochs: 60 }));
  const controller = new AbortController();
  const seen = await readUntil(watch(id, controller.signal), isEnd);
  expect(seen[0].type).toBe('snapshot');
  expect(new Set(seen.map(({ type }) => type))).toEqual(new Set(['snapshot', 'run', 'points', 'progress', 'samples', 'log']));
  expect(points(seen).flatMap(({ steps }) => steps)).toEqual(Array.from({ length: 660 }, (_, i) => i + 1));
  const seconds = points(seen).flatMap((curves) => curves.seconds as number[]);
  expect(seconds).toEqual([...seconds].sort((a, b) => a - b));
  const progress = seen.flatMap((event) => (event.type === 'progress' ? [event.progress] : []));
  expect(progress.at(-1)!.memoryBytes).toBeGreaterThan(20e6);

  const [snapshot] = await readUntil(watch(id, controller.signal), () => true);
  if (snapshot.type !== 'snapshot') throw new Error('no snapshot');
  expect(snapshot.run).toMatchObject({ status: 'finished', step: 660, recipe: { method: 'sft' } });
  expect(snapshot.run.checkpoints.at(-1)).toMatchObject({ name: `${snapshot.run.name}@660`, step: 660, bytes: expect.any(Number) });
  expect(snapshot.curves.steps).toHaveLength(660);
  expect(snapshot.curves.values.eval_loss.filter((value) => value !== null)).toHaveLength(33);
  expect(snapshot.log.at(-1)!.text).toBe('finished');
  expect(snapshot.progress).toBeNull();
});

test('a run that is resumed is told anew', async () => {
  const { runs } = place.workbench;
  const { id } = runs.start(place.sft({ numTrainEpochs: 40 }));
  await reachStep(place.workbench, id, 8);
  runs.stop(id);
  await runs.ended(id);
  const events = watch(id);
  expect((await events.next()).value).toMatchObject({ type: 'snapshot', run: { status: 'stopped' } });
  runs.resume(id);
  const seen = await readUntil(events, (event) => event.type === 'run' && event.run.status === 'finished');
  expect(seen.filter(({ type }) => type === 'snapshot')).toHaveLength(1);
});

test('a run of another process is watched too, and steering it is refused', async () => {
  const id = foreignRun(3);
  const controller = new AbortController();
  const events = watch(id, controller.signal);
  expect(points(await collect(events, 1))[0].steps).toEqual([1, 2, 3]);
  insertMetrics(place.workbench.library.db, id, [{ step: 4, seconds: 1, values: { loss: 1 } }]);
  insertLog(place.workbench.library.db, id, 'hello');
  const next = await collect(events, 2);
  expect(next).toEqual([
    { type: 'points', curves: { steps: [4], tokens: [null], seconds: [1], values: { loss: [1] } } },
    { type: 'log', lines: [{ at: expect.any(String), text: 'hello' }] },
  ]);
  expect(() => place.workbench.runs.pause(id)).toThrow(/the run is running in another process/);
  controller.abort();
  expect(await events.next()).toEqual({ done: true, value: undefined });
});

test('a curve of 100,000 points is read in less than 1.5 s, and nothing waits longer than 50 ms for it', async () => {
  const id = foreignRun(100_000);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const start = cpuTime();
  let [count, longest, before] = [0, 0, start];
  for await (const event of watch(id)) {
    if (event.type === 'snapshot' || event.type === 'points') count += event.curves.steps.length;
    JSON.stringify(event); // what the wire does with it
    const now = cpuTime();
    longest = Math.max(longest, now - before);
    before = now;
    if (count === 100_000) break;
  }
  console.log(`100,000 points in ${(cpuTime() - start).toFixed(0)} ms, longest turn ${longest.toFixed(0)} ms, of this thread's own time`);
  expect(cpuTime() - start).toBeLessThan(1500);
  expect(longest).toBeLessThan(50);
  const all = await readWholeCurves(place.workbench.library, id);
  expect(all.steps).toHaveLength(10_000);
  expect(all.values.loss).toHaveLength(10_000);
});

test('what deleting takes away is told before; what an adapter stands on is kept', async () => {
  const { runs, library } = place.workbench;
  const base = runs.start(place.sft({ name: 'base', maxSteps: 6 }));
  await runs.ended(base.id);
  const adapter = runs.start(place.sft({ name: 'adapter', model: 'base', lora: { r: 2 }, maxSteps: 2 }));
  const full = runs.start(place.sft({ name: 'full', model: 'base@5', maxSteps: 2 }));
  expect((await measureFootprint(library, base.id)).neededBy).toEqual(['adapter', 'full']);
  await runs.ended(full.id);
  const footprint = await measureFootprint(library, base.id);
  expect(footprint).toMatchObject({ checkpoints: 2, neededBy: ['adapter'], descendants: ['adapter', 'full'] });
  expect(footprint.bytes).toBeGreaterThan(getRunById(library, base.id).checkpoints.reduce((sum, { bytes }) => sum + bytes, 0));
  await expect(runs.remove(base.id)).rejects.toThrow('base: adapter needs its weights; delete that first');
  await runs.remove(adapter.id);
  await runs.remove(base.id);
  expect(existsSync(join(library.folder, 'runs', String(base.id)))).toBe(false);
  expect(getRun(library.db, base.id)).toBeUndefined();
  expect(getRun(library.db, full.id)!.status).toBe('finished');
});

/** The next `count` events; the stream stays open. */
async function collect(events: AsyncGenerator<RunEvent, void, void>, count: number): Promise<RunEvent[]> {
  const seen: RunEvent[] = [];
  while (seen.length < count) seen.push((await events.next()).value as RunEvent);
  return seen;
}

/** Of this thread, ms: what else the machine does just now is not counted. */
function cpuTime(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
