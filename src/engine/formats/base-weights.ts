/**
 * What an adapter folder says of the base it was trained on: base_weights.json, ours, for PEFT has no place for it. An adapter belongs to the numbers its
 * base had, so one trained on a quantised base is run on, and merged into, that base. Absent: the base as it is stored, or an adapter of another make.
 */
import { join } from 'node:path';
import { BaseWeights } from '../../shared/recipe.ts';
import { readJsonFile, writeJsonFile } from './json.ts';
import type { WrittenFile } from './write-beside.ts';

const FILE = 'base_weights.json';

export async function readBaseWeights(folder: string): Promise<BaseWeights> {
  const said = await readJsonFile(join(folder, FILE), true);
  if (said === null) return 'stored';
  const parsed = BaseWeights.safeParse(said.base_weights);
  if (parsed.success) return parsed.data;
  throw new Error(`${join(folder, FILE)}: base_weights is ${JSON.stringify(said.base_weights)}; expected one of ${BaseWeights.options.join(', ')}`);
}

export async function writeBaseWeights(folder: string, base: BaseWeights): Promise<WrittenFile[]> {
  if (base === 'stored') return [];
  // nf4 in the words of transformers, for who loads the adapter there
  const same = base === 'nf4' ? { quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'nf4', bnb_4bit_use_double_quant: true, bnb_4bit_compute_dtype: 'float32' } } : {};
  return [{ name: FILE, ...(await writeJsonFile(join(folder, FILE), { base_weights: base, ...same })) }];
}
