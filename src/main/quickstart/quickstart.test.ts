/** A first start: what the library is given, that it is given once, and the project that trains and compares, stopped and gone on with. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Sampling } from '../../shared/sampling.ts';
import { summarizeDatasets } from '../datasets/desk.ts';
import { deleteDataset } from '../datasets/index.ts';
import { listMetrics } from '../db/metrics.ts';
import { listSamplesAfter } from '../db/samples.ts';
import { setSetting } from '../db/settings.ts';
import { resolveModel } from '../models/index.ts';
import { follow, isOver } from '../playground/testing.ts';
import { listRuns } from '../runs/index.ts';
import { openWorkbench, type Workbench } from '../workbench.ts';

let folder: string;
let workbench: Workbench;
const open = async (): Promise<void> => {
  workbench = openWorkbench({ kind: 'browser', choose: null, reveal: null, printPdf: null }, folder, { examples: true });
  await workbench.quickstart.seed();
};
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'attune-first-start-'));
  await open();
});
afterEach(async () => {
  await workbench.close();
  rmSync(folder, { recursive: true, force: true });
});
const reopen = async (): Promise<void> => {
  await workbench.close();
  await open();
};

describe('a first start', () => {
  it('finds the embedded data, and a finished run with its curve, samples and the rows it was trained on', () => {
    expect(summarizeDatasets(workbench).map(({ name, kind, splits }) => [name, kind, splits.train > 1000, splits.validation > 100])).toEqual([
      ['instructions', 'examples', true, true],
      ['preferences', 'preferences', true, true],
    ]);
    const [run] = listRuns(workbench.library);
    expect(run).toMatchObject({ status: 'finished', method: 'sft', error: null, owner: null });
    expect(workbench.quickstart.state()).toEqual({ stage: 'idle', sftRunId: null, dpoRunId: null, sessionId: null, error: null, exampleRunId: run.id });
    const metrics = listMetrics(workbench.library.db, run.id);
    expect(metrics).toHaveLength(run.totalSteps);
    expect(metrics.at(-1)!.values.loss).toBeLessThan(metrics[0].values.loss / 2);
    expect(listSamplesAfter(workbench.library.db, run.id, -1).length).toBeGreaterThan(4);
    // the shipped hashes are of the very rows that were written for it now
    for (const [file, hash] of [['train.jsonl', run.trainSha256], ['validation.jsonl', run.validationSha256]]) {
      expect(createHash('sha256').update(readFileSync(join(run.folder, file!))).digest('hex')).toBe(hash);
    }
    expect(existsSync(join(run.folder, 'recipe.yaml'))).toBe(true);
  });

  it('can talk to the model of that run, which answers as it was trained to', async () => {
    const [run] = listRuns(workbench.library);
    expect(resolveModel(workbench.library, run.name).path.adapter).toContain(run.folder);
    const id = workbench.playground.create({ models: [run.name, 'attune-base'], blind: false, sampling: Sampling.parse({ temperature: 0, maxTokens: 40 }) });
    workbench.playground.send(id, 'Give a synonym of mountain.');
    const [tuned, base] = (await follow(workbench.playground, id, isOver)).session.turns[0].answers;
    expect(tuned).toMatchObject({ state: 'done', finishReason: 'eos', text: 'Another word for mountain is mount.' });
    expect(base.text).not.toBe(tuned.text);
  });

  it('is once: nothing comes twice, and what was deleted does not come back', async () => {
    await reopen();
    expect(listRuns(workbench.library)).toHaveLength(1);
    await workbench.runs.remove(workbench.quickstart.state().exampleRunId!);
    await deleteDataset(workbench.library, 'preferences');
    await reopen();
    expect(listRuns(workbench.library)).toEqual([]);
    expect(summarizeDatasets(workbench).map(({ name }) => name)).toEqual(['instructions']);
    expect(workbench.quickstart.state().exampleRunId).toBeNull();
  });

  it('that was killed in the middle is finished by the next one', async () => {
    await workbench.runs.remove(workbench.quickstart.state().exampleRunId!);
    setSetting(workbench.library.db, 'quickstart.seed', { state: 'seeding', owner: '999999999:0', runId: null });
    await deleteDataset(workbench.library, 'preferences');
    await reopen();
    expect(summarizeDatasets(workbench).map(({ name }) => name)).toEqual(['instructions', 'preferences']);
    expect(workbench.quickstart.state().exampleRunId).not.toBeNull();
  });
});

describe('the quickstart project', () => {
  it('trains SFT as an ordinary run, is stopped, and after a restart goes on with the same run', async () => {
    const { quickstart, runs } = workbench;
    expect(quickstart.start()).toMatchObject({ stage: 'sft', error: null });
    expect(quickstart.start()).toMatchObject({ stage: 'sft' }); // a second press changes nothing
    await new Promise<void>((resolve) => {
      const end = runs.onChange(() => {
        if ((listRuns(workbench.library).find(({ name }) => name === 'attune-sft')?.step ?? 0) < 3) return;
        end();
        resolve();
      });
    });
    const { sftRunId } = quickstart.state();
    quickstart.stop();
    await quickstart.ended();
    expect(quickstart.state()).toMatchObject({ stage: 'idle', sftRunId, error: null });
    const stopped = listRuns(workbench.library).find(({ id }) => id === sftRunId)!;
    expect(stopped).toMatchObject({ name: 'attune-sft', status: 'stopped', recipe: { dataset: 'instructions', model: 'attune-base' } });

    quickstart.start();
    await reopen(); // in the middle of it
    expect(workbench.quickstart.state()).toMatchObject({ stage: 'failed', sftRunId, error: expect.stringMatching(/closed before this was done/) as string });
    workbench.quickstart.start();
    expect(listRuns(workbench.library).filter(({ name }) => name.startsWith('attune-sft'))).toHaveLength(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    workbench.quickstart.stop();
    await workbench.quickstart.ended();
  });

  it('says in a sentence why it failed', async () => {
    const { quickstart, runs } = workbench;
    quickstart.start();
    await new Promise((resolve) => setTimeout(resolve, 0));
    runs.stop(quickstart.state().sftRunId!); // a person stops the run itself
    await quickstart.ended();
    expect(quickstart.state()).toMatchObject({ stage: 'failed', error: 'attune-sft is stopped: start again to go on' });
  });
});
