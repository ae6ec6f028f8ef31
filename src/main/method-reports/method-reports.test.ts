/** Reports on the tiny Llama of fixtures/: trained by the queue, broken off and gone on with, and what stands on the page. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type MethodReport, ReportSettings, roadSeconds } from '../../shared/method-report.ts';
import { createDataset, importDataset } from '../datasets/index.ts';
import { listRuns } from '../runs/index.ts';
import { createTestPlace, type TestPlace, until } from '../runs/testing.ts';
import { saveReport } from './save.ts';
import { reportHtml } from './html.ts';
import { compare } from './measure.ts';
import { planMethods, REPORT_METHODS } from './methods.ts';

let place: TestPlace;
const settings = (more: object = {}) => ReportSettings.parse({ name: 'tiny-report', model: join(place.folder, 'tiny'), instructions: 'texts', preferences: 'pairs', prompts: 6, maxTokens: 8, maxSteps: 3, ...more });
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

test('a report that is stopped goes on where it was: nothing is trained or measured twice', { timeout: 120_000 }, async () => {
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

test('the page holds what was measured, in both languages, and what a model or a person wrote stays text', { timeout: 120_000 }, async () => {
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
  expect(() => methodReports.start(settings({ methods: ['magic'] }))).toThrow(/magic: no method of reports; there is sft, dpo, /);
  expect(() => methodReports.start(settings({ preferences: 'texts' }))).toThrow(/texts: its rows are no preference pairs/);
  expect(() => methodReports.start(settings({ preferences: 'empty' }))).toThrow(/empty: it has no training rows/);
  expect(() => methodReports.start(settings({ instructions: 'nothing' }))).toThrow(/nothing: the library has no dataset/);
  expect(listRuns(library)).toEqual([]);
});

test('a method stands on what its recipe names; SFT is always there', () => {
  expect(planMethods({ methods: ['dpo'] }).map(({ method, needs }) => ({ method, needs }))).toEqual([{ method: 'sft', needs: [] }, { method: 'dpo', needs: ['sft'] }]);
  for (const { method } of REPORT_METHODS) expect(planMethods({ methods: [method] }).map((one) => one.method)).toEqual([...new Set(['sft', method])]);
});

test('answers are compared prompt by prompt; a tie counts half a win', () => {
  // better, same, worse, same: 1 + 2/2 of 4
  expect(compare([5, 4, 3, 2], [4, 4, 4, 2])).toMatchObject({ win: 1, tie: 2, loss: 1, rate: { value: 0.5 } });
});
