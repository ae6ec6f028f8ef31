/** Exports: a model written for other programs, then loaded again and asked the same prompts as the one it was made from. */
import { oc, type } from '@orpc/contract';
import { z } from 'zod';
import { GivenAbout } from '../export-about.ts';
import { ExportJob } from '../job.ts';
import type { LlamaCppParity } from '../job-results.ts';
import { answers } from './answers.ts';

/** Greedy tokens of the exported files against the model's own, prompt by prompt. */
export type Parity = {
  prompts: number;
  /** Prompts whose greedy answer is the same token for token. */
  equal: number;
  tokens: number;
  /** Tokens the exported model also finds likeliest where the model wrote them. */
  sameTokens: number;
  /** Largest difference of a token's log-prob, nats. */
  maxLogprobDifference: number;
  /** … of any logit after any prompt; of a reward model or classifier the scores'. Absent in checks of older versions. */
  maxLogitDifference?: number;
  /** What is to be expected of the format: `equal` (f32), `close` (what rounds): then `least` of the tokens must be the same. */
  expected: 'equal' | 'close';
  least?: number;
  /** llama.cpp on the same file; null: there is none on this machine, or the format is not its. Absent in checks of older versions. */
  llamaCpp?: LlamaCpp | null;
  passed: boolean;
  /** The first prompt answered otherwise. */
  firstDifference: { prompt: string; model: string; exported: string } | null;
};

/** llama.cpp against our engine, both on the exported file. `least` of the tokens must be the same; `error`: it could not run the file. */
export type LlamaCpp = LlamaCppParity & { least: number; error: string | null; passed: boolean };

export type ExportRecord = {
  id: number;
  model: string;
  format: ExportJob['format'];
  dtype: ExportJob['dtype'];
  folder: string;
  /** The file for GGUF, the folder else. */
  path: string;
  bytes: number;
  files: { name: string; bytes: number; sha256: string }[];
  /** null: not checked (yet). */
  parity: Parity | null;
  parityError: string | null;
  /** The files are gone. */
  missing: boolean;
  card: string | null;
  at: string;
};

/** Begun and not finished: the process that wrote it is gone, or failed; or it still writes (`running`). */
export type UnfinishedExport = {
  id: string;
  model: string;
  format: ExportJob['format'];
  dtype: ExportJob['dtype'];
  folder: string;
  startedAt: string;
  /** Tensors that are whole, of `total` (null: not known), and the bytes of all that is written. */
  done: number;
  total: number | null;
  bytes: number;
  /** Why it stopped, where it could say so. */
  error: string | null;
  running: boolean;
};

export const exports = {
  list: answers<ExportRecord[]>(),
  unfinished: answers<UnfinishedExport[]>(),
  /** A task, as of `start`, that keeps what is whole. */
  goOn: oc.input(z.strictObject({ id: z.string() })).output(type<{ taskId: number }>()),
  /** Takes away what was written of it. */
  discard: oc.input(z.strictObject({ id: z.string() })).output(type<void>()),
  /** A task (kind `export-model`), followed by one of kind `parity`. The folder must be empty, or not be there. */
  start: oc
    .input(z.strictObject({ model: z.string(), format: ExportJob.shape.format, dtype: ExportJob.shape.dtype, folder: z.string(), overwrite: z.boolean().default(false), given: GivenAbout.default({}) }))
    .output(type<{ taskId: number }>()),
  /** Checks again, as a task. */
  verify: oc.input(z.strictObject({ id: z.int() })).output(type<{ taskId: number }>()),
  /** Where a model would be exported to, when nobody says otherwise. */
  suggestFolder: oc.input(z.strictObject({ model: z.string(), format: ExportJob.shape.format })).output(type<string>()),
  /** Takes it off the list; the files stay. */
  forget: oc.input(z.strictObject({ id: z.int() })).output(type<void>()),
};
