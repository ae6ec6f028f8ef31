/**
 * The person's own llama.cpp: node-llama-cpp, in the folder that ATTUNE_LLAMA_CPP names, or where bench/peers put it. It is no part of Attune
 * and nothing is fetched for it; where there is none, an export's check says so and stays with our own engine.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { LlamaCpp } from '../../shared/api/exports.ts';
import type { ForcedText } from '../../shared/job.ts';
import type { ExportResult, LlamaCppParity } from '../../shared/job-results.ts';
import type { ExportRow } from '../db/exports.ts';
import type { Library } from '../library.ts';
import { LLAMA_CPP } from '../paths.ts';
import { UserError } from '../user-error.ts';
import { isGgufType } from './formats.ts';
import { askEngineStoppably } from './index.ts';

/** The module to load; null: there is none. */
export function findLlamaCpp(): string | null {
  const named = process.env['ATTUNE_LLAMA_CPP'];
  if (named === '') return null; // switched off
  const places = named === undefined ? [LLAMA_CPP] : ['', 'node_modules/node-llama-cpp', 'node-llama-cpp'].map((below) => resolve(named, below));
  const found = places.map((place) => join(place, 'dist', 'index.js')).find((entry) => existsSync(entry));
  if (found === undefined && named !== undefined) throw new UserError(`ATTUNE_LLAMA_CPP is ${named}, but node-llama-cpp is not there; install it in that folder, or unset the variable`);
  return found ?? null;
}

/** Of the tokens whose likeliest must be the same: of files whose numbers are whole, and of blocks (an adapter's base that came as GGUF may have them), with which llama.cpp multiplies rounded numbers. */
const AGREEMENT = { whole: 0.99, blocks: 0.9 };

/** What could not be asked is told in `error`. */
export async function askLlamaCpp(library: Library, entry: string, { format, dtype, path, source }: ExportRow, forced: ForcedText[], signal?: AbortSignal): Promise<LlamaCpp> {
  const ask = (gguf: string, lora?: string) => askEngineStoppably<LlamaCppParity>({ type: 'llamacpp', entry, gguf, lora, forced }, { signal });
  try {
    const result = format === 'gguf' ? await ask(path) : await withBase(library, source.path.folder, (base) => ask(base, path), signal);
    const least = isGgufType(dtype) || (format === 'lora-gguf' && source.path.folder.endsWith('.gguf')) ? AGREEMENT.blocks : AGREEMENT.whole;
    return { ...result, least, error: null, passed: result.sameTexts === result.texts && result.sameTokens >= least * result.tokens };
  } catch (error) {
    if (signal?.aborted) throw error;
    return { version: 'llama.cpp', texts: 0, sameTexts: 0, tokens: 0, sameTokens: 0, maxLogprobDifference: 0, least: 0, error: (error as Error).message, passed: false };
  }
}

/** An adapter is run on its base, which must be GGUF for that: written beside the library, every number kept, and removed again. */
async function withBase<T>(library: Library, folder: string, use: (gguf: string) => Promise<T>, signal?: AbortSignal): Promise<T> {
  if (folder.endsWith('.gguf')) return use(folder);
  const out = mkdtempSync(join(library.folder, 'base-of-adapter-'));
  try {
    const about = { baseName: 'base', base: folder, method: null, datasets: [], stated: {}, given: {} };
    const { path } = await askEngineStoppably<ExportResult>({ type: 'export', model: { folder }, format: 'gguf', dtype: 'f32', out, name: 'base', about }, { signal });
    return await use(path);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}
