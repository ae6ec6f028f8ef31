/**
 * The model inspector for window and command line: models by name, asked of an engine. What takes reading every weight is kept (kept.ts) and
 * measured once. No tensor here: the engine reads them.
 */
import type { Inspection, TensorNumbers, WeightChanges } from '../../shared/inspection.ts';
import { askEngine } from '../engine.ts';
import { askEngineStoppably } from '../exports/index.ts';
import type { Library } from '../library.ts';
import { type Model, resolveModel } from '../models/index.ts';
import { UserError } from '../user-error.ts';
import { keep, readKept } from './kept.ts';

type Control = { signal?: AbortSignal; /** tensors */ onCount?: (done: number, total: number) => void };

/** What the engine refuses is the model's fault, told in its sentence. */
export async function inspect(library: Library, name: string): Promise<Inspection> {
  const model = resolveModel(library, name);
  return askEngine<Inspection>({ type: 'inspect', model: model.path }).catch(refuse);
}

export function keptNumbers(library: Library, name: string): TensorNumbers[] | null {
  return readKept(library, 'numbers', [resolveModel(library, name).path]);
}

/** Of every tensor; seconds a billion weights. */
export async function weigh(library: Library, name: string, control: Control = {}): Promise<TensorNumbers[]> {
  const { path } = resolveModel(library, name);
  const known = readKept<TensorNumbers[]>(library, 'numbers', [path]);
  if (known) return known;
  const numbers = await askEngineStoppably<TensorNumbers[]>({ type: 'weigh', model: path }, control).catch(refuse);
  keep(library, 'numbers', [path], numbers);
  return numbers;
}

export function keptChanges(library: Library, name: string, otherName: string): WeightChanges | null {
  return readKept(library, 'changes', pathsOf(pair(library, name, otherName)));
}

/** What sets a model apart from another, tensor by tensor. */
export async function diff(library: Library, name: string, otherName: string, control: Control = {}): Promise<WeightChanges> {
  const models = pair(library, name, otherName);
  const [model, other] = models.map(({ path }) => path) as [Model['path'], Model['path']];
  const known = readKept<WeightChanges>(library, 'changes', [model, other]);
  if (known) return known;
  const changes = await askEngineStoppably<WeightChanges>({ type: 'diff', model, other }, control).catch(refuse);
  keep(library, 'changes', [model, other], changes);
  return changes;
}

const pathsOf = (models: Model[]) => models.map(({ path }) => path);
const pair = (library: Library, ...names: string[]): Model[] => names.map((name) => resolveModel(library, name));

function refuse(error: Error): never {
  throw error.name === 'AbortError' ? error : new UserError(error.message);
}
