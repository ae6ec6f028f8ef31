/** The queue with real engines: order, pause, stop, a killed engine, closing; and what is written down of a run. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Recipe } from '../../shared/recipe.ts';
import { deleteMetricsAfter, listMetricsAfter } from '../db/metrics.ts';
import { listLogTail } from '../db/run-log.ts';
import { getRun, updateRun } from '../db/runs.ts';
import { deleteSamplesAfter, listSamplesAfter } from '../db/samples.ts';
import { getRunById, readMetrics } from './index.ts';
import { listRunSummaries } from './summaries.ts';
import { createTestPlace, reachStep, type TestPlace, until } from './testing.ts';

let place: TestPlace;
beforeEach(() => {
  place = createTestPlace();
});
afterEach(() => place.remove());

const row = (id: number) => getRun(place.workbench.library.db, id)!;
const start = (more?: object) => place.workbench.runs.start(place.sft(more)).id;
const log = (id: number) => listLogTail(place.workbench.library.db, id, 100).map(({ text }) => text);
const lastHash = (id: number) => getRunById(place.workbench.library, id).checkpoints.at(-1)!.sha256;
const long = { numTrainEpochs: 400 };

test('a run is stored as it goes: points with seconds, samples at the start and each evaluation, log, last values', async () => {
  const { library, runs } = place.workbench;
  const id = start();
  await runs.ended(id);
  expect(row(id)).toMatchObject({ status: 'finished', step: 44, totalSteps: 44, attempt: 1, error: null });
  const run = row(id);
  expect(run.parameters).toBe(run.trainableParameters);
  expect(run.flopsPerSecond).toBeGreaterThan(1e6);
  expect(run.progress!.memoryBytes).toBeGreaterThan(20e6);
  expect(Object.keys(run.last)).toEqual(expect.arrayContaining(['loss', 'eval_loss', 'num_tokens']));
  const metrics = readMetrics(library, id);
  expect(metrics).toHaveLength(44);
  const samples = listSamplesAfter(library.db, id, -1);
  expect([...new Set(samples.map(({ step }) => step))]).toEqual([0, 20, 40, 44]);
  expect(samples).toHaveLength(16);
  expect(samples[0].prompt).toEqual([{ role: 'user', content: expect.stringMatching(/^Say \w+ \d+\.$/) }]);
  expect(samples[0].expected).toMatch(/^\w+ \d+$/);
  expect(log(id)).toEqual(expect.arrayContaining([expect.stringMatching(/^started on native/), expect.stringMatching(/^checkpoint written at step 5 /), 'finished']));
  const [summary] = listRunSummaries(library, runs.state);
  expect(summary).toMatchObject({ id, status: 'finished', asked: null, queuePosition: null, checkpointCount: getRunById(library, id).checkpoints.length });
  expect(summary.last.loss).toBe(metrics.at(-1)!.values.loss);
});

test('samples change no bit of a run', async () => {
  const [plain, sampled] = [start({ evalSamples: 0 }), start({ evalSamples: 3 })];
  await place.workbench.runs.ended(sampled);
  expect(lastHash(sampled)).toBe(lastHash(plain));
  expect(listSamplesAfter(place.workbench.library.db, plain, -1)).toEqual([]);
});

test('one run trains at a time, in the order asked for; a queued one can leave', async () => {
  const { runs, library } = place.workbench;
  const first = start(long);
  const [second, third, fourth] = [start(), start(), start()];
  await reachStep(place.workbench, first, 2);
  expect([second, third, fourth].map((id) => runs.state(id).queuePosition)).toEqual([1, 2, 3]);
  runs.reorder([fourth, second]);
  expect([second, third, fourth].map((id) => runs.state(id).queuePosition)).toEqual([2, 3, 1]);
  runs.stop(third);
  expect(row(third)).toMatchObject({ status: 'stopped', step: 0 });
  expect(listRunSummaries(library, runs.state).filter(({ status }) => status === 'running').map(({ id }) => id)).toEqual([first]);
  runs.stop(first);
  await runs.ended(second);
  expect(row(first).status).toBe('stopped');
  expect(row(fourth).finishedAt! <= row(second).startedAt!).toBe(true);
  expect(row(third).status).toBe('stopped');
});

test('pause and resume: nothing moves in between and its time does not count; the bytes are those of an uninterrupted run', async () => {
  const { runs } = place.workbench;
  const whole = start({ numTrainEpochs: 15 });
  await runs.ended(whole);
  const id = start({ numTrainEpochs: 15 });
  await reachStep(place.workbench, id, 3);
  runs.pause(id);
  expect(runs.state(id).asked).toBe('pause');
  await until(() => row(id).status === 'paused');
  expect(runs.state(id).asked).toBe(null);
  const { step } = row(id);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(row(id).step).toBe(step);
  runs.resume(id);
  await runs.ended(id);
  expect(lastHash(id)).toBe(lastHash(whole));
  const wall = (Date.parse(row(id).finishedAt!) - Date.parse(row(id).startedAt!)) / 1000;
  expect(row(id).seconds).toBeLessThan(wall - 1.4);
  expect(log(id)).toEqual(expect.arrayContaining(['paused', 'goes on']));
});

test('stopped keeps the step under way; resumed it goes on from there with the same bytes, and seconds go on too', async () => {
  const { runs } = place.workbench;
  const whole = start({ numTrainEpochs: 15 });
  const id = start({ numTrainEpochs: 15 });
  await runs.ended(whole);
  await reachStep(place.workbench, id, 7);
  runs.stop(id);
  await runs.ended(id);
  const stopped = row(id);
  expect(stopped.status).toBe('stopped');
  expect(getRunById(place.workbench.library, id).checkpoints.at(-1)!.step).toBe(stopped.step);
  runs.resume(id);
  await runs.ended(id);
  expect(row(id)).toMatchObject({ status: 'finished', attempt: 2 });
  expect(row(id).seconds).toBeGreaterThan(stopped.seconds);
  expect(lastHash(id)).toBe(lastHash(whole));
  const metrics = readMetrics(place.workbench.library, id);
  expect(metrics).toEqual(readMetrics(place.workbench.library, whole));
});

test('what the engine told and nobody heard before all were killed is told again with the checkpoint it left', async () => {
  const { runs, library } = place.workbench;
  const id = start();
  await runs.ended(id);
  const read = () => ({
    metrics: listMetricsAfter(library.db, id, -1, 100), samples: listSamplesAfter(library.db, id, -1),
    checkpoints: getRunById(library, id).checkpoints.map(({ step, sha256, best }) => ({ step, sha256, best })), step: row(id).step, last: row(id).last,
  });
  const whole = read();
  const [before, last] = whole.checkpoints.slice(-2).map(({ step }) => step);
  // as if all had died between the writing of the last checkpoint and the next look at what its engine says
  deleteMetricsAfter(library.db, id, before);
  deleteSamplesAfter(library.db, id, before);
  library.db.prepare('delete from checkpoints where run_id = ? and step = ?').run(id, last);
  updateRun(library.db, id, { status: 'interrupted', step: before, last: {} });
  expect(read()).not.toEqual(whole);
  runs.resume(id);
  await runs.ended(id);
  expect(read()).toEqual(whole);
  expect(row(id).status).toBe('finished');
});

test('an engine killed by SIGKILL leaves an interrupted run that says so; the queue goes on, and resumed it ends with the same bytes', async () => {
  const { runs } = place.workbench;
  const whole = start({ numTrainEpochs: 15 });
  await runs.ended(whole);
  const id = start({ numTrainEpochs: 15 });
  const next = start();
  await reachStep(place.workbench, id, 12);
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').trim().split(' ').map(Number);
  const engine = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('engine'))!;
  process.kill(engine, 'SIGKILL');
  await runs.ended(next);
  expect(row(id)).toMatchObject({ status: 'interrupted', error: 'the engine process was killed by SIGKILL', owner: null });
  expect(row(next).status).toBe('finished');
  runs.resume(id);
  await runs.ended(id);
  expect(row(id)).toMatchObject({ status: 'finished', error: null });
  expect(lastHash(id)).toBe(lastHash(whole));
  expect(log(id)).toContain('interrupted: the engine process was killed by SIGKILL');
});

test('a run the engine refuses has failed with its sentence, and the queue goes on', async () => {
  const { runs } = place.workbench;
  const id = start({ lora: { targetModules: ['nothing'] } });
  const next = start({ maxSteps: 2 });
  await runs.ended(next);
  expect(row(id)).toMatchObject({ status: 'failed', error: expect.stringContaining('no linear of the model is called nothing') });
  expect(row(next).status).toBe('finished');
});

test('closing stops the run under way with a checkpoint; what waited is interrupted and can be resumed after', async () => {
  const [id, queued] = [start(long), start({ maxSteps: 3 })];
  await reachStep(place.workbench, id, 4);
  await place.reopen();
  expect(row(id)).toMatchObject({ status: 'stopped', owner: null });
  expect(getRunById(place.workbench.library, id).checkpoints.at(-1)!.step).toBe(row(id).step);
  expect(row(queued).status).toBe('interrupted');
  place.workbench.runs.resume(queued);
  await place.workbench.runs.ended(queued);
  expect(row(queued).status).toBe('finished');
});

test('what cannot be done is refused with a sentence', async () => {
  const { runs } = place.workbench;
  const id = start({ maxSteps: 2 });
  await runs.ended(id);
  expect(() => runs.resume(id)).toThrow(/the run is finished; there is nothing to resume/);
  expect(() => runs.pause(id)).toThrow(/the run is finished; there is nothing to pause/);
  expect(() => runs.start(place.sft({ model: 'nowhere' }))).toThrow(/nowhere: no model of that name/);
});

test('samples of preference pairs show the chosen answer beside, of texts how they go on', async () => {
  const { runs, library } = place.workbench;
  const pairs = runs.start(Recipe.parse({ method: 'dpo', model: join(place.folder, 'tiny'), dataset: join(place.folder, 'pairs.jsonl'), maxLength: 64, maxSteps: 2 }));
  writeFileSync(join(place.folder, 'text.txt'), Array.from({ length: 20 }, (_, i) => `One two three four five six seven eight nine ten ${i}.`).join('\n\n'));
  const texts = runs.start(Recipe.parse({ method: 'pretrain', model: join(place.folder, 'tiny'), dataset: join(place.folder, 'text.txt'), maxLength: 64, maxSteps: 2, evalSamples: 1 }));
  await runs.ended(texts.id);
  expect(row(texts.id).error).toBeNull();
  expect(listSamplesAfter(library.db, pairs.id, -1)[0]).toMatchObject({
    step: 0, prompt: [{ role: 'user', content: expect.stringMatching(/^Name thing \d+\.$/) }], expected: expect.stringMatching(/^Thing \d+\.$/),
  });
  const [first] = listSamplesAfter(library.db, texts.id, -1);
  expect(first).toMatchObject({ step: 0, prompt: 'One two three four five six seven eight', expected: expect.stringMatching(/^nine ten \d+\.$/) });
});
