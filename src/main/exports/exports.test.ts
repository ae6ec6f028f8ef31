/** Exports and their check with real engines: every format passes as it was written, and fails when a tensor of it was changed. */
import { existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExportRecord } from '../../shared/api/exports.ts';
import type { Task } from '../../shared/api/workbench.ts';
import type { ExportJob } from '../../shared/job.ts';
import type { ParityResult } from '../../shared/job-results.ts';
import { addModel } from '../models/index.ts';
import { openWorkbench, type Workbench } from '../workbench.ts';
import { forgetExport, listExports, startExport, suggestFolder, verifyExport } from './desk.ts';
import { judge } from './parity.ts';

const FIXTURES = fileURLToPath(new URL('../../../fixtures', import.meta.url));
let root: string;
let workbench: Workbench;
beforeAll(() => {
  process.env.ATTUNE_LLAMA_CPP = ''; // whether this machine has one is not these tests' affair: e2e/slow/llamacpp.test.ts
  root = mkdtempSync(join(tmpdir(), 'attune-exports-'));
  workbench = openWorkbench({ kind: 'browser', choose: null, reveal: null, printPdf: null }, join(root, 'library'));
  addModel(workbench.library, join(FIXTURES, 'models', 'llama'), 'tiny');
});
afterAll(async () => {
  await workbench.close();
  rmSync(root, { recursive: true, force: true });
});

/** A task's end, and the newest task's after it when it started one. */
async function ended(taskId: number): Promise<Task> {
  for await (const tasks of workbench.tasks.watch()) {
    const task = tasks.find(({ id }) => id === taskId)!;
    if (task.state !== 'running') return task;
  }
  throw new Error('the tasks ended');
}

async function exported(model: string, format: ExportJob['format'], dtype: ExportJob['dtype']): Promise<ExportRecord> {
  const folder = suggestFolder(workbench.library, { model, format });
  const { taskId } = startExport(workbench, { model, format, dtype, folder, overwrite: false });
  expect(await ended(taskId)).toMatchObject({ kind: 'export-model', subject: model, state: 'done', error: null });
  const check = workbench.tasks.list().findLast(({ kind }) => kind === 'parity')!;
  await ended(check.id);
  return listExports(workbench.library).find((record) => record.folder === folder)!;
}

const checked = async (id: number): Promise<ExportRecord> => {
  await ended(verifyExport(workbench, id).taskId);
  return listExports(workbench.library).find((record) => record.id === id)!;
};

describe('an export', () => {
  it.each([
    ['safetensors', 'f32', 'equal'], ['gguf', 'f32', 'equal'], ['safetensors', 'bf16', 'close'], ['gguf', 'f16', 'close'], ['gguf', 'q8_0', 'close'], ['gguf', 'q4_k_m', 'close'],
  ] as const)('as %s in %s is checked after it is written, and passes as %s', async (format, dtype, expected) => {
    const record = await exported('attune-base', format, dtype);
    expect(record.parityError).toBeNull();
    expect(record.parity).toMatchObject({ prompts: 16, expected, passed: true });
    if (expected === 'equal') expect(record.parity).toMatchObject({ equal: 16, maxLogprobDifference: 0, maxLogitDifference: 0, firstDifference: null });
    expect(record.parity!.tokens).toBeGreaterThan(100);
    expect(record).toMatchObject({ missing: false, bytes: record.files.reduce((sum, { bytes }) => sum + bytes, 0) });
    expect(existsSync(record.path)).toBe(true);
    expect(record.card).toContain('# attune-base');
    expect(record.card).toMatch(/Passed\. The files were loaded again and asked 16 prompts/);
    expect(readdirSync(record.folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('of an adapter alone is checked on its base', async () => {
    // TRL's adapter names no folder of this machine as its base
    const adapter = join(root, 'adapter');
    mkdirSync(adapter);
    const from = join(FIXTURES, 'trl', 'sft-lora', 'final');
    const config = JSON.parse(readFileSync(join(from, 'adapter_config.json'), 'utf8')) as object;
    writeFileSync(join(adapter, 'adapter_config.json'), JSON.stringify({ ...config, base_model_name_or_path: 'tiny' }));
    writeFileSync(join(adapter, 'adapter_model.safetensors'), readFileSync(join(from, 'adapter_model.safetensors')));
    addModel(workbench.library, adapter, 'tuned');
    expect((await exported('tuned', 'peft', 'f16')).parity).toMatchObject({ expected: 'equal', passed: true });
    const merged = await exported('tuned', 'safetensors', 'f32');
    expect(merged.parity).toMatchObject({ expected: 'equal', passed: true });
    expect(merged.card).toMatch(/base_model: llama\n[^]*base_model_relation: finetune\n[^]*It is the adapter adapter merged into its base llama, written by Attune, which did not train it\./);
    expect((await exported('tuned', 'gguf', 'f32')).parity).toMatchObject({ expected: 'equal', passed: true });
    const lora = await exported('tuned', 'lora-gguf', 'f32');
    expect(lora.parity).toMatchObject({ expected: 'equal', passed: true });
    expect(lora.files.map(({ name }) => name)).toEqual([expect.stringMatching(/^llama-[\d.]+K-tuned-v1\.0-F32-LoRA\.gguf$/)]);
  });

  it.each([['gguf', 'f32'], ['gguf', 'q8_0'], ['safetensors', 'f32']] as const)('as %s in %s fails its check when a tensor of it was changed', async (format, dtype) => {
    const record = await exported('attune-base', format, dtype);
    const file = format === 'gguf' ? record.path : join(record.path, 'model.safetensors');
    // the last tensors of either format are whole matrices: noise over the last tenth of the file
    const size = statSync(file).size;
    const noise = Buffer.alloc(Math.floor(size / 10));
    for (let i = 0; i < noise.length; i++) noise[i] = i % 4 === 3 ? 0x3e : (i * 37) % 251;
    writeSync(openSync(file, 'r+'), noise, 0, noise.length, size - noise.length);
    const again = await checked(record.id);
    expect(again.parity).toMatchObject({ passed: false });
    expect(again.parity!.firstDifference!.model).not.toBe(again.parity!.firstDifference!.exported);
    expect(again.card).toContain('**Failed**');
  });

  it('whose vocabulary is another is not checked but refused, in a sentence that is kept', async () => {
    const record = await exported('attune-base', 'gguf', 'f16');
    const bytes = readFileSync(record.path);
    bytes[bytes.indexOf('<|endoftext|>') + 3] = 0x58;
    writeFileSync(record.path, bytes);
    const again = await checked(record.id);
    expect(again.parity).toBeNull();
    expect(again.parityError).toMatch(/token \d+ is "<\|.*the model has .* there; export it again/);
  });

  it('is cancelled without leaving anything, missing when its files are gone, and forgotten when asked', async () => {
    const folder = join(root, 'cancelled');
    const { taskId } = startExport(workbench, { model: 'attune-base', format: 'gguf', dtype: 'f32', folder, overwrite: false });
    workbench.tasks.cancel(taskId);
    expect((await ended(taskId)).state).toBe('cancelled');
    expect(existsSync(folder)).toBe(false);
    const record = await exported('tiny', 'safetensors', 'f32');
    rmSync(record.folder, { recursive: true });
    expect(listExports(workbench.library).find(({ id }) => id === record.id)).toMatchObject({ missing: true, card: null });
    forgetExport(workbench, record.id);
    expect(listExports(workbench.library).some(({ id }) => id === record.id)).toBe(false);
    expect(() => forgetExport(workbench, record.id)).toThrow(/not on the list any more/);
  });

  it('is refused before anything is written when it cannot be', () => {
    const full = join(root, 'full');
    mkdirSync(full);
    writeFileSync(join(full, 'mine.txt'), 'x');
    const start = (wanted: Partial<Parameters<typeof startExport>[1]>) => () =>
      startExport(workbench, { model: 'attune-base', format: 'gguf', dtype: 'f16', folder: join(root, 'new'), overwrite: false, ...wanted });
    expect(start({ folder: full })).toThrow(/the folder is not empty: choose another one/);
    expect(start({ format: 'safetensors', dtype: 'q8_0' })).toThrow(/q8_0 is a type of GGUF/);
    expect(start({ format: 'peft' })).toThrow(/is no adapter/);
    expect(start({ folder: 'relative' })).toThrow(/not a whole path/);
    expect(start({ model: 'nobody' })).toThrow(/nobody: no model of that name/);
  });
});

describe('what passes', () => {
  const result = (equal: number, sameTokens: number): ParityResult => ({ prompts: 10, equal, tokens: 200, sameTokens, maxLogprobDifference: 0, maxLogitDifference: 0, forced: [], firstDifference: null });
  it('is every answer for f32, and 99 of 100 tokens for what rounds', () => {
    expect(judge(result(10, 200), 'f32')).toMatchObject({ expected: 'equal', passed: true });
    expect(judge(result(9, 199), 'f32').passed).toBe(false);
    expect(judge({ ...result(10, 200), maxLogprobDifference: 0.002 }, 'f32').passed).toBe(false); // the same answers, but other numbers
    expect(judge({ ...result(10, 200), maxLogprobDifference: Infinity }, 'bf16').passed).toBe(false);
    expect(judge(result(7, 198), 'q8_0')).toMatchObject({ expected: 'close', passed: true }); // 198 of 200 is 99 %
    expect(judge(result(7, 197), 'bf16').passed).toBe(false);
  });
});
