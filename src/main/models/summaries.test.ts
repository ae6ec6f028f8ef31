/** The list of models with real folders: facts, adapters, checkpoints, lineage, folders that are gone or broken; and that a long list is quick. */
import { cpSync, mkdirSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ModelSummary } from '../../shared/api/models.ts';
import { createTestPlace, type TestPlace } from '../runs/testing.ts';
import { addModel } from './index.ts';
import { addModelFolder, listModelSummaries, removeModelName } from './summaries.ts';

let place: TestPlace;
beforeEach(() => {
  place = createTestPlace();
});
afterEach(() => place.remove());

const list = () => listModelSummaries(place.workbench.library);
const named = (all: ModelSummary[], name: string) => all.find((model) => model.name === name)!;
const add = (folder: string, name?: string) => addModelFolder(place.workbench.library, place.workbench.changes, folder, name);
async function train(more: object): Promise<number> {
  const { id } = place.workbench.runs.start(place.sft(more));
  await place.workbench.runs.ended(id);
  return id;
}

test('the embedded model and an added one, with their facts', async () => {
  const added = await add(join(place.folder, 'tiny'));
  const all = await list();
  expect(named(all, 'attune-base')).toMatchObject({
    kind: 'embedded', form: 'full', family: 'llama', dtype: 'BF16', contextLength: 512, vocabularySize: 4096, layers: 6, hiddenSize: 256,
    hasChatTemplate: true, parent: null, problem: null,
  });
  // 4096·256 embedding; a layer: q 256·256, k and v 128·256 each, o 256·256, three of 768·256, two norms; and the last norm
  expect(named(all, 'attune-base').parameters).toBe(4096 * 256 + 6 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 768 * 256 + 512) + 256);
  expect(named(all, 'tiny')).toEqual(added);
  expect(added).toMatchObject({ kind: 'added', family: 'llama', problem: null });
  removeModelName(place.workbench.library, place.workbench.changes, 'tiny');
  expect(named(await list(), 'tiny')).toBeUndefined();
});

test('runs, their checkpoints and adapters stand in their lineage; a branch from a checkpoint names it; a renamed parent keeps its children', async () => {
  await add(join(place.folder, 'tiny'));
  const first = await train({ name: 'first', model: 'tiny' });
  const before = await list();
  const steps = before.filter(({ kind, runId }) => kind === 'checkpoint' && runId === first).map(({ name }) => name);
  expect(steps.length).toBeGreaterThan(1);
  expect(named(before, 'first')).toMatchObject({ kind: 'run', form: 'full', parent: 'tiny', method: 'sft', dtype: 'F32' });

  const lora = { r: 4, targetModules: ['q_proj', 'v_proj'] };
  await train({ name: 'branch', model: steps[0], lora, maxSteps: 2 });
  await train({ name: 'follow', model: 'branch', lora, maxSteps: 2 });
  place.workbench.runs.rename(first, 'renamed');
  const all = await list();
  const branch = named(all, 'branch');
  expect(branch).toMatchObject({ form: 'adapter', adapterRank: 4, dtype: 'F32', parent: steps[0].replace('first', 'renamed'), method: 'sft' });
  expect(branch.parameters).toBe(named(all, 'renamed').parameters! + branch.adapterParameters!);
  expect(named(all, 'follow').parent).toBe('branch');
  expect(named(all, 'first')).toBeUndefined();
  const { library, runs } = place.workbench;
  const { listRunSummaries } = await import('../runs/summaries.ts');
  expect(listRunSummaries(library, runs.state).map(({ name, parentRun }) => [name, parentRun])).toEqual([
    ['follow', 'branch'], ['branch', 'renamed'], ['renamed', null],
  ]);
});

test('what is not a model, or a broken one, is refused in one sentence', async () => {
  await expect(add(join(place.folder, 'nowhere'))).rejects.toThrow(/nowhere: no such folder$/);
  await expect(add(place.folder)).rejects.toThrow(/not a model: neither config\.json nor adapter_config\.json is in it$/);
  const broken = join(place.folder, 'broken');
  cpSync(join(place.folder, 'tiny'), broken, { recursive: true });
  truncateSync(join(broken, 'model.safetensors'), statSync(join(broken, 'model.safetensors')).size - 100);
  await expect(add(broken)).rejects.toThrow(/model\.safetensors: .*truncated/);
  mkdirSync(join(place.folder, 'other'));
  writeFileSync(join(place.folder, 'other', 'config.json'), JSON.stringify({ architectures: ['MambaForCausalLM'] }));
  await expect(add(join(place.folder, 'other'))).rejects.toThrow(/architecture MambaForCausalLM is not supported/);
});

test('a folder that is gone stays listed with its problem; put back, it is well again', async () => {
  const [folder, away] = [join(place.folder, 'tiny'), join(place.folder, 'away')];
  await add(folder);
  cpSync(folder, away, { recursive: true, preserveTimestamps: true });
  rmSync(folder, { recursive: true });
  expect(named(await list(), 'tiny').problem).toMatch(/tiny: the folder is gone; put it back, or take the model out of the library$/);
  cpSync(away, folder, { recursive: true, preserveTimestamps: true });
  expect(named(await list(), 'tiny').problem).toBeNull();
});

test('a hundred models that were read before are listed in less than 50 ms', async () => {
  for (let i = 0; i < 100; i++) {
    const folder = join(place.folder, `copy-${i}`);
    mkdirSync(folder);
    for (const name of readdirSync(join(place.folder, 'tiny'))) cpSync(join(place.folder, 'tiny', name), join(folder, name));
    addModel(place.workbench.library, folder);
  }
  expect(await list()).toHaveLength(101);
  const times = [];
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await list();
    times.push(performance.now() - start);
  }
  console.log(`101 models listed in ${Math.min(...times).toFixed(1)} ms`);
  expect(Math.min(...times)).toBeLessThan(50);
});
