/**
 * The check after an export: the files are loaded again and held against the model they were made from, on rows it never trained on where
 * there are any, and a GGUF file is given to llama.cpp too where there is one. What counts as passed depends on what the type keeps.
 */
import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { LlamaCpp, Parity } from '../../shared/api/exports.ts';
import type { Example } from '../../shared/dataset.ts';
import type { Prompt } from '../../shared/job.ts';
import type { ParityResult } from '../../shared/job-results.ts';
import { type ExportRow, setParity } from '../db/exports.ts';
import { getRunByName } from '../db/runs.ts';
import type { Library } from '../library.ts';
import { writeCard } from './card.ts';
import { isAdapterFormat } from './formats.ts';
import { askEngineStoppably } from './index.ts';
import { askLlamaCpp, findLlamaCpp } from './llamacpp.ts';

const PROMPTS = 16;
const MAX_TOKENS = 32;
/** Of the tokens that must agree, by what the type keeps: every number, the first eight bits or more, about four. */
const LEAST: Record<ExportRow['dtype'], number> = { f32: 1, f16: 0.99, bf16: 0.99, q8_0: 0.99, q4_k_m: 0.85, q4_0: 0.8 };
/** … and how far a log-prob may be off then, nats: an adapter is merged in another order than it is computed. */
const MOST = 1e-3;
/** Characters of a plain text that are its prompt. */
const TEXT_START = 60;

/** Asked where the model has no held-out rows; a base model answers few questions at length, so it is also given texts to go on with. */
const BUILT_IN: Prompt[] = [
  ...['What is a river?', 'Name three fruits.', 'Which is larger, a mouse or a horse?', 'Say the opposite of cold.', 'Why do leaves fall?', 'What do bees make?']
    .map((content): Prompt => ({ messages: [{ role: 'user', content }] })),
  ...['The river', 'A horse is an animal that', 'In the morning, the old man', 'Music is', '1, 2, 3,', 'She opened the door and',
    'The word house is', 'A bird has', 'When the rain', 'Bread is made of'].map((raw): Prompt => ({ raw })),
];

/** Checks and stores the outcome. A check that cannot be made at all is stored as its sentence, and thrown. */
export async function checkExport(
  library: Library,
  row: ExportRow,
  { signal, onCount }: { signal?: AbortSignal; onCount?: (done: number, total: number) => void } = {},
): Promise<Parity> {
  const { db } = library;
  const { path: model, template } = row.source;
  try {
    const prompts = await promptsFor(library, row.model);
    const exported = row.format === 'gguf' ? { gguf: row.path } : isAdapterFormat(row.format) ? { folder: model.folder, adapter: row.path } : { folder: row.path };
    const result = await askEngineStoppably<ParityResult>(
      { type: 'parity', device: 'native', threads: 0, model, template, exported, prompts, maxTokens: MAX_TOKENS },
      { signal, onCount },
    );
    const entry = result.forced.length > 0 ? findLlamaCpp() : null;
    const llamaCpp = entry === null ? null : await askLlamaCpp(library, entry, row, result.forced, signal);
    const parity = judge(result, row.dtype, llamaCpp);
    setParity(db, row.id, parity, null);
    tryCard(library, { ...row, parity, parityError: null });
    return parity;
  } catch (error) {
    if (!signal?.aborted) {
      setParity(db, row.id, null, (error as Error).message);
      tryCard(library, { ...row, parity: null, parityError: (error as Error).message });
    }
    throw error;
  }
}

export function judge({ forced: _, ...result }: ParityResult, dtype: ExportRow['dtype'], llamaCpp: LlamaCpp | null = null): Parity {
  const least = LEAST[dtype];
  const own = least === 1
    ? result.equal === result.prompts && result.maxLogprobDifference <= MOST
    : result.sameTokens >= least * result.tokens && Number.isFinite(result.maxLogprobDifference);
  return { ...result, expected: least === 1 ? 'equal' : 'close', least, llamaCpp, passed: own && (llamaCpp === null || llamaCpp.passed) };
}

/** The card is a courtesy: a folder that went away, or cannot be written any more, does not spoil the check. */
function tryCard(library: Library, row: ExportRow): void {
  try {
    if (existsSync(row.folder)) writeCard(library, row);
  } catch {
    // the outcome is in the library
  }
}

async function promptsFor({ db, folder }: Library, model: string): Promise<Prompt[]> {
  const run = getRunByName(db, model) ?? getRunByName(db, model.replace(/@\d+$/, ''));
  const file = run?.validationSha256 ? join(folder, 'runs', String(run.id), 'validation.jsonl') : null;
  const prompts: Prompt[] = [];
  if (file && existsSync(file)) {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      if (line.trim() !== '') prompts.push(promptOf(JSON.parse(line) as Example));
      if (prompts.length === PROMPTS) break;
    }
  }
  return prompts.length > 0 ? prompts : BUILT_IN;
}

/** A held-out row without its answer. */
function promptOf(example: Example): Prompt {
  switch (example.kind) {
    case 'instruction':
      return { messages: [{ role: 'user', content: example.input.trim() === '' ? example.instruction : `${example.instruction}\n${example.input}` }] };
    case 'conversation': {
      const last = example.messages.findLastIndex(({ role }) => role === 'assistant');
      return { messages: last > 0 ? example.messages.slice(0, last) : example.messages };
    }
    case 'preference':
    case 'ranking':
    case 'unpaired':
      return { messages: typeof example.prompt === 'string' ? [{ role: 'user', content: example.prompt }] : example.prompt };
    case 'completion':
      return { raw: example.prompt };
    case 'text':
    case 'classification':
      return { raw: example.text.slice(0, TEXT_START) };
  }
}
