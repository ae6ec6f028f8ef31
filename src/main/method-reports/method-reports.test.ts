/** Reports on the tiny Llama of fixtures/: trained by the queue, broken off and gone on with, and what stands on the page. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type MethodReport, ReportMethod, ReportSettings, roadSeconds } from '../../shared/method-report.ts';
import { createDataset, importDataset } from '../datasets/index.ts';
import { resolveModel } from '../models/index.ts';
import { listRuns } from '../runs/index.ts';
import { createTestPlace, type TestPlace, until } from '../runs/testing.ts';
import { saveReport } from './save.ts';
import { reportHtml } from './html.ts';
import { checkRewardModel } from './graders.ts';
import { compare } from './measure.ts';
import { planMethods, scorersFirst } from './methods.ts';

let place: TestPlace;
const settings = (more: object = {}) => ReportSettings.parse({ name: 'tiny-report', model: join(place.folder, 'tiny'), instructions: 'texts', preferences: 'pairs', methods: ['dpo'], prompts: 6, maxTokens: 8, maxSteps: 3, ...more });
const get = (id: number): MethodReport => place.workbench.methodReports.get(id);

beforeEach(async () => {
  place = createTestPlace();
  const { library } = place.workbench;
  writeFileSync(join(place.folder, 'odd.jsonl'), '{"prompt":"<b>Name & thing</b>","chosen":"Thing.","rejected":"thing thing"}\n{"prompt":"b","chosen":"Thing b.","rejected":"thing"}\n');
  for (const [file, name, split] of [['rows.jsonl', 'texts', 'train'], ['rows.jsonl', 'texts', 'validation'], ['pairs.jsonl', 'pairs', 'train'], ['odd.jsonl', 'pairs', 'validation']] as const) {
    await importDataset(library, { file: join(place.folder, file), name, split });
  }
});
afterEach(() => place.remove());

test('a report that is stopped goes on where it was: nothing is trained or measured twice', async () => {
  const { workbench } = place;
  const { id } = workbench.methodReports.start(settings());
  expect(() => workbench.methodReports.start(settings())).toThrow(/tiny-report: this report is under way/);
  await until(() => get(id).entries.some(({ method, measure }) => method === 'sft' && measure !== null));
  workbench.methodReports.stop(id);
  await workbench.methodReports.ended();
  expect(get(id).status).toBe('stopped');
  const sft = get(id).entries.find(({ method }) => method === 'sft')!;

  await place.reopen();
  place.workbench.methodReports.resume(id);
  await place.workbench.methodReports.ended();
  const report = get(id);
  expect(report).toMatchObject({ status: 'done', error: null });
  expect(report.entries.find(({ method }) => method === 'sft')).toEqual(sft);
  expect(listRuns(place.workbench.library).map(({ name, method, status, step }) => ({ name, method, status, step }))).toEqual([
    { name: 'tiny-report-sft', method: 'sft', status: 'finished', step: 3 }, { name: 'tiny-report-dpo', method: 'dpo', status: 'finished', step: 3 },
  ]);
  const [base, , dpo] = report.entries;
  expect(base).toMatchObject({ method: 'base', trained: null, measure: { kl: null, versus: { rate: { value: expect.any(Number) as number } } } });
  expect(dpo.needs).toEqual(['sft']);
  expect(dpo.measure!.scores).toHaveLength(2); // as many prompts as are held out
  expect(dpo.measure!.kl!.value).toBeGreaterThanOrEqual(0);
  expect(roadSeconds(report.entries, 'dpo')).toBeCloseTo(sft.trained!.seconds + dpo.trained!.seconds, 9);
  expect(() => place.workbench.methodReports.resume(id)).toThrow(/the report is done/);
});

test('the page holds what was measured, in both languages, and what a model or a person wrote stays text', async () => {
  const { id } = place.workbench.methodReports.start(settings({ methods: ['sft'] }));
  await place.workbench.methodReports.ended();
  const html = reportHtml(get(id), 'en');
  expect(html).toContain('&lt;b&gt;Name &amp; thing&lt;/b&gt;');
  expect(html).not.toMatch(/<script|<link|src=|https?:/);
  expect(reportHtml(get(id), 'ko')).toContain('<html lang="ko">');
  await expect(saveReport(place.workbench, { id, path: join(place.folder, 'nowhere', 'r.html'), format: 'html', language: 'en' })).rejects.toThrow(/cannot be written \(ENOENT\)/);
  await expect(saveReport(place.workbench, { id, path: join(place.folder, 'r.pdf'), format: 'pdf', language: 'en' })).rejects.toThrow(/the browser prints them/);
  place.workbench.methodReports.remove(id);
  expect(place.workbench.methodReports.list()).toEqual([]);
});

test('what cannot be reported is said before anything is trained', () => {
  const { library, methodReports } = place.workbench;
  createDataset(library, 'empty', 'preference');
  expect(() => settings({ methods: ['magic'] })).toThrow(/sft.*dpo/);
  expect(() => methodReports.start(settings({ judge: 'nobody' }))).toThrow(/nobody: no model of that name/);
  expect(() => methodReports.start(settings({ preferences: 'texts' }))).toThrow(/texts: its rows are no preference pairs/);
  expect(() => methodReports.start(settings({ preferences: 'empty' }))).toThrow(/empty: it has no training rows/);
  expect(() => methodReports.start(settings({ instructions: 'nothing' }))).toThrow(/nothing: the library has no dataset/);
  expect(listRuns(library)).toEqual([]);
});

test('a method stands on what its recipe names; SFT is always there, and reward models come first where they are needed', () => {
  const plan = (methods: ReportMethod[], judge = 'rule') => planMethods({ methods, judge });
  expect(plan(['dpo']).map(({ method, needs }) => ({ method, needs }))).toEqual([{ method: 'sft', needs: [] }, { method: 'dpo', needs: ['sft'] }]);
  const learnt = ['rejection', 'ppo', 'grpo', 'rloo'];
  for (const method of ReportMethod.options) {
    const made = plan([method]).map((one) => one.method);
    expect(made.filter((one) => one !== 'reward' && one !== 'gold')).toEqual([...new Set(['sft', method])]);
    expect(made.includes('gold'), method).toBe(learnt.includes(method));
  }
  expect(plan(['sft'], 'gold').map(({ method }) => method)).toEqual(['sft', 'gold']);
  const all = plan(ReportMethod.options);
  expect(scorersFirst(all).slice(0, 2).map(({ method }) => method)).toEqual(['reward', 'gold']);
  // policy, reference, value model, and the two reward models
  expect(all.find(({ method }) => method === 'ppo')).toMatchObject({ models: 5, needs: ['sft', 'reward', 'gold'] });
  expect(all.find(({ method }) => method === 'kto')).toMatchObject({ models: 1 });
});

test('a method that learns from a reward model has it trained, and every answer is scored by it, by gold and by the judge', { timeout: 120_000 }, async () => {
  const { methodReports } = place.workbench;
  const { id } = methodReports.start(settings({ methods: ['rejection'], judge: 'gold', prompts: 2, maxSteps: 2 }));
  await methodReports.ended();
  const report = get(id);
  expect(report).toMatchObject({ status: 'done', error: null, judge: { most: null } });
  expect(report.entries.map(({ method }) => method)).toEqual(['base', 'sft', 'gold', 'reward', 'rejection']);
  for (const { method, measure, trained, models } of report.entries) {
    if (method !== 'base') expect(trained, method).not.toBeNull();
    if (method === 'gold' || method === 'reward') expect(measure).toBeNull();
    else expect(measure, method).toMatchObject({ score: measure!.gold!, reward: { value: expect.any(Number) as number } });
    if (method === 'rejection') expect(models).toBe(3);
  }
  const html = reportHtml(report, 'en');
  expect(html).toContain('<th scope="row">Rejection sampling</th>');
  expect(html).toContain('<th scope="col">Gold</th>');

  // a language model is no judge, which is said before anything is trained; the reward model in the library now is one
  const { library } = place.workbench;
  await expect(checkRewardModel(library, resolveModel(library, 'tiny-report-reward'))).resolves.toBeUndefined();
  const runs = listRuns(library).length;
  methodReports.start(settings({ name: 'wrong', methods: ['sft'], judge: 'tiny-report-sft' }));
  await methodReports.ended();
  expect(methodReports.list()[0]).toMatchObject({ status: 'failed', error: expect.stringMatching(/tiny-report-sft: not a reward model, so it cannot judge/) as string });
  expect(listRuns(library)).toHaveLength(runs);
});

test('answers are compared prompt by prompt; a tie counts half a win', () => {
  // better, same, worse, same: 1 + 2/2 of 4
  expect(compare([5, 4, 3, 2], [4, 4, 4, 2])).toMatchObject({ win: 1, tie: 2, loss: 1, rate: { value: 0.5 } });
});
