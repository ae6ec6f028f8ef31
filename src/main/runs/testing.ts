/** What the tests of runs share: a workbench on a library of its own, with the tiny Llama of fixtures/ and a few rows to train it on. Not a test. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunEvent } from '../../shared/api/runs.ts';
import { Recipe } from '../../shared/recipe.ts';
import { getRun } from '../db/runs.ts';
import { openWorkbench, type Workbench } from '../workbench.ts';

const FIXTURES = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));
const WORDS = ['river', 'stone', 'cloud', 'bread', 'horse', 'music', 'paper', 'light'];

export type TestPlace = {
  folder: string;
  workbench: Workbench;
  /** SFT of the tiny model: 43 rows in batches of 4, so 11 steps an epoch, 44 in all; a checkpoint every 5. */
  sft(more?: object): Recipe;
  /** Same library, as after a restart. */
  reopen(): Promise<void>;
  remove(): Promise<void>;
};

export function createTestPlace(): TestPlace {
  const folder = mkdtempSync(join(tmpdir(), 'attune-runs-'));
  cpSync(FIXTURES, join(folder, 'tiny'), { recursive: true, filter: (path) => !basename(path).startsWith('expected') });
  const rows = Array.from({ length: 48 }, (_, i) => ({ instruction: `Say ${WORDS[i % 8]} ${i}.`, input: '', output: `${WORDS[(i * 3) % 8]} ${i}` }));
  writeFileSync(join(folder, 'rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  const pairs = Array.from({ length: 24 }, (_, i) => ({ prompt: `Name thing ${i}.`, chosen: `Thing ${i}.`, rejected: `thing thing ${i} is a thing` }));
  writeFileSync(join(folder, 'pairs.jsonl'), pairs.map((row) => JSON.stringify(row)).join('\n'));
  const open = (): Workbench => openWorkbench({ kind: 'browser', choose: null, reveal: null, printPdf: null }, join(folder, 'library'));
  const place: TestPlace = {
    folder,
    workbench: open(),
    sft: (more = {}) =>
      Recipe.parse({
        method: 'sft', model: join(folder, 'tiny'), dataset: join(folder, 'rows.jsonl'), template: 'chat', maxLength: 64, numTrainEpochs: 4,
        perDeviceTrainBatchSize: 4, packing: false, evalRatio: 0.1, evalSteps: 20, saveSteps: 5, optimizer: { learningRate: 1e-3 }, ...more,
      }),
    async reopen() {
      await place.workbench.close();
      place.workbench = open();
    },
    async remove() {
      await place.workbench.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return place;
}

/** Looks every few milliseconds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

export async function reachStep({ library: { db } }: Workbench, id: number, step: number): Promise<void> {
  await until(() => getRun(db, id)!.step >= step);
}

/** Events of a watch up to and with the first that fits. */
export async function readUntil(events: AsyncGenerator<RunEvent, void, void>, fits: (event: RunEvent) => boolean): Promise<RunEvent[]> {
  const seen: RunEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    if (fits(event)) break;
  }
  return seen;
}
