/**
 * Method reports: made, gone on with, read. Each training is an ordinary run of the library, each measurement is stored when it is there, so a
 * report that was broken off goes on where it was. Who trains the runs is the caller's: a queue (live.ts) or a command (commands/report.ts).
 */
import type { MethodReport, ReportEntry, ReportPart, ReportSettings } from '../../shared/method-report.ts';
import type { Recipe } from '../../shared/recipe.ts';
import { findDataset, importDataset } from '../datasets/index.ts';
import { claimMethodReport, endMethodReport, getMethodReport, insertMethodReport, type MethodReportRow, updateEntries } from '../db/method-reports.ts';
import { getRun } from '../db/runs.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { RESOURCES } from '../paths.ts';
import { OWNER } from '../process-identity.ts';
import { EMBEDDED_DATASETS } from '../quickstart/example-run.ts';
import type { Machine } from '../runs/index.ts';
import { UserError } from '../user-error.ts';
import { join } from 'node:path';
import { checkRewardModel, type Grader, modelGrader, modelText, RULE } from './graders.ts';
import { measureModel } from './measure.ts';
import { isScorer, type PlannedMethod, planMethods, recipeFor, scorersFirst } from './methods.ts';

/** Trains the runs of a report. `train` resolves when the run has ended, however: its row tells. */
export type Trainer = { create(recipe: Recipe): number; train(id: number, signal: AbortSignal): Promise<void> };

export type Doing = MethodReport['doing'];

/** Judges that need no model of the library. */
const TRAINED_JUDGES = ['rule', 'gold'];

/** Stores a new report, checked as far as can be said before anything is trained. */
export function createReport(library: Library, settings: ReportSettings): number {
  resolveModel(library, settings.model);
  for (const name of [settings.instructions, settings.preferences]) {
    const files = findDataset(library, name)?.files ?? [];
    if (files.length === 0) throw new UserError(`${name}: the library has no dataset of that name`);
    if (!files.some(({ split, rows }) => split === 'train' && rows > 0)) throw new UserError(`${name}: it has no training rows`);
    if (!files.some(({ split, rows }) => split !== 'train' && rows > 0)) throw new UserError(`${name}: it has no validation rows to measure on: split some off first`);
  }
  const kinds = findDataset(library, settings.preferences)!.files.flatMap(({ kinds }) => Object.keys(kinds));
  if (!kinds.includes('preference')) throw new UserError(`${settings.preferences}: its rows are no preference pairs: choose another dataset for preferences`);
  if (!TRAINED_JUDGES.includes(settings.judge)) resolveModel(library, settings.judge);
  const planned = planMethods(settings);
  const entries = [{ method: 'base' as const, needs: [], models: 0 }, ...planned].map(({ method, needs, models }): ReportEntry => ({
    method, needs, models, runId: null, model: method === 'base' ? settings.model : null, trained: null, measure: null,
  }));
  return insertMethodReport(library.db, { settings, entries, owner: OWNER });
}

/** The datasets that come with Attune, where the library lacks them. */
export async function importEmbedded(library: Library): Promise<void> {
  for (const { name, split, file } of EMBEDDED_DATASETS) {
    if (findDataset(library, name)?.files.some((known) => known.split === split)) continue;
    await importDataset(library, { file: join(RESOURCES, 'datasets', file), name, split });
  }
}

export function claimReport(library: Library, id: number): void {
  const { status, owner, name } = getReportRow(library, id);
  if (claimMethodReport(library.db, id, OWNER)) return;
  throw new UserError(`${name}: the report is ${status}${owner ? ` in process ${owner.split(':')[0]}` : ''}; there is nothing to go on with`);
}

export function getReportRow({ db }: Library, id: number): MethodReportRow {
  const row = getMethodReport(db, id);
  if (!row) throw new UserError(`report ${id}: it is not in the library`);
  return row;
}

export function toReport({ owner: _, ...row }: MethodReportRow, doing: Doing): MethodReport {
  const { judge } = row.settings;
  return { ...row, judge: judge === 'rule' ? { text: RULE.text, most: RULE.most } : { text: modelText(judge), most: null }, doing };
}

export type DriveOptions = { trainer: Trainer; signal: AbortSignal; machine?: Machine; onProgress: (doing: Doing) => void };

/** Everything that is still missing of a report this process has claimed, to its end. How it ended is in its row; a failure is thrown as well. */
export async function driveReport(library: Library, id: number, options: DriveOptions): Promise<void> {
  const { signal } = options;
  try {
    await goOn(library, id, options);
    endMethodReport(library.db, id, 'done', null);
  } catch (error) {
    const { message } = error as Error;
    if (getMethodReport(library.db, id)) endMethodReport(library.db, id, signal.aborted ? 'stopped' : 'failed', signal.aborted ? null : message);
    if (!signal.aborted) throw error;
  } finally {
    options.onProgress(null);
  }
}

async function goOn(library: Library, id: number, { trainer, signal, machine, onProgress }: DriveOptions): Promise<void> {
  const { settings, entries } = getReportRow(library, id);
  const planned = planMethods(settings);
  const keep = (): void => updateEntries(library.db, id, entries);
  const entryOf = (method: ReportPart): ReportEntry => entries.find((entry) => entry.method === method)!;
  const modelOf = (recipeName: string): string | null => {
    const maker = planned.find(({ recipe }) => recipe.name === recipeName);
    return maker ? entryOf(maker.method).model : null;
  };
  const named = TRAINED_JUDGES.includes(settings.judge) ? null : resolveModel(library, settings.judge);
  if (named) await checkRewardModel(library, named);
  const scorerOf = (method: 'reward' | 'gold'): Grader | null => {
    const made = entries.find((entry) => entry.method === method)?.model;
    return made ? modelGrader(resolveModel(library, made), machine) : null;
  };
  const measure = async (entry: ReportEntry): Promise<void> => {
    if (entry.measure) return;
    const sft = entry.method === 'sft' ? null : entryOf('sft');
    const report = (done: number, total: number): void => onProgress({ method: entry.method, stage: 'measure', done, total });
    report(0, settings.prompts);
    const scorers = { reward: scorerOf('reward'), gold: scorerOf('gold') };
    entry.measure = await measureModel(library, {
      model: resolveModel(library, entry.model!),
      settings, machine, signal, scorers,
      judge: named ? modelGrader(named, machine) : settings.judge === 'gold' ? scorers.gold! : RULE,
      sft: sft && { path: resolveModel(library, sft.model!).path, scores: sft.measure!.scores },
      kl: entry.method !== 'base',
      onCount: report,
    });
    keep();
  };

  const train = async (one: PlannedMethod): Promise<void> => {
    signal.throwIfAborted();
    await trainOne(library, entryOf(one.method), one, { settings, modelOf, trainer, signal, keep, onProgress });
  };
  const order = scorersFirst(planned);
  for (const one of order.slice(0, order.findLastIndex(({ method }) => isScorer(method)) + 1)) await train(one);
  for (const one of order) {
    await train(one);
    if (!isScorer(one.method)) await measure(entryOf(one.method));
  }
  await measure(entryOf('base'));
}

type TrainOptions = { settings: ReportSettings; modelOf: (name: string) => string | null; trainer: Trainer; signal: AbortSignal; keep: () => void; onProgress: (doing: Doing) => void };

async function trainOne(library: Library, entry: ReportEntry, planned: PlannedMethod, { settings, modelOf, trainer, signal, keep, onProgress }: TrainOptions): Promise<void> {
  if (entry.trained) return;
  const { db } = library;
  onProgress({ method: entry.method, stage: 'train', done: 0, total: 0 });
  // a run that was deleted, or could not be trained, is begun anew
  const before = entry.runId === null ? undefined : getRun(db, entry.runId);
  if (!before || before.status === 'failed') {
    entry.runId = trainer.create(recipeFor(planned, settings, modelOf));
    keep();
  }
  if (before?.status !== 'finished') await trainer.train(entry.runId!, signal);
  const run = getRun(db, entry.runId!);
  if (run?.status !== 'finished') {
    signal.throwIfAborted();
    throw new UserError(run ? `${run.name}: the run is ${run.status}${run.error ? ` (${run.error})` : ''}` : `the ${entry.method} run of this report was deleted: go on to train it anew`);
  }
  entry.model = run.name;
  entry.trained = { seconds: run.seconds, peakMemoryBytes: run.peakMemoryBytes, tokens: run.last.num_tokens ?? 0, steps: run.step };
  keep();
}
