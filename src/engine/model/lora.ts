/**
 * LoRA on a model's linears: which get one, how it starts, how it is read, named and merged. As PEFT does it: A kaiming-uniform (a = √5),
 * B zero, scale loraAlpha / r. The arithmetic of the update itself is ops/lora.ts.
 */
import type { Device } from '../device/device.ts';
import type { LoraUpdate } from '../ops/lora.ts';
import { createRandom, deriveSeed } from '../random.ts';
import type { Lora } from '../../shared/recipe.ts';
import type { ScoreHead } from './heads.ts';
import { scaleRows } from './dora.ts';
import type { ModelConfig } from './config.ts';
import { createParameter, type Linear, type LoraModule, type Parameter, type Weights } from './parameters.ts';

/** One module's update: a(r,I), b(O,r), its scale (loraAlpha / r, with rsLoRA loraAlpha / √r), and DoRA's magnitude(O). */
export type ModuleUpdate = { a: Float32Array; b: Float32Array; r: number; scale: number; magnitude: Float32Array | null };

/** How a new adapter begins. */
export type LoraSetting = Omit<Lora, 'useDora' | 'baseWeights'> & Partial<Pick<Lora, 'useDora' | 'baseWeights'>>;

/** An adapter as formats/peft.ts reads it; tensors by module name, e.g. model.layers.0.self_attn.q_proj. */
export type ReadAdapter = {
  /** Of most modules; each one's own is in `tensors`. */
  r: number;
  loraAlpha: number;
  loraDropout: number;
  targetModules: string[];
  tensors: Map<string, ModuleUpdate>;
  /** Tensors of the base that the adapter brings whole (modules_to_save), by their names there. */
  saved: Map<string, { shape: number[]; values: Float32Array }>;
  /** The whole score head trained beside the adapter (PEFT's modules_to_save), (labels, C). */
  score: { head: ScoreHead; values: Float32Array } | null;
};

/** In place of names, as PEFT has it: every linear of the decoder, whatever a family calls them. */
export const ALL_LINEAR = 'all-linear';

/** The linears that targetModules names, by the last part(s) of their name, or all. */
export function targetLinears(linears: Linear[], targetModules: string[]): Linear[] {
  if (targetModules.includes(ALL_LINEAR)) return linears;
  const known = [...new Set(linears.map((linear) => linear.name.split('.').at(-1)!))];
  const isTarget = (linear: Linear, target: string) => linear.name === target || linear.name.endsWith(`.${target}`);
  for (const target of targetModules) {
    if (target === 'lm_head' || target === 'embed_tokens') {
      throw new Error(`lora.targetModules: ${target} cannot carry an adapter here, only the decoder's linears can (${known.join(', ')}); leave it out`);
    }
    if (!linears.some((linear) => isTarget(linear, target))) {
      throw new Error(`lora.targetModules: no linear of the model is called ${target}; it has ${known.join(', ')} (${ALL_LINEAR} names them all)`);
    }
  }
  return linears.filter((linear) => targetModules.some((target) => isTarget(linear, target)));
}

/** Puts a new adapter on a linear, or the one an adapter file holds for it. A new one's magnitude is set by DoraNorms.start. */
export function attachLora(device: Device, linear: Linear, lora: Omit<LoraSetting, 'targetModules'>, trained: boolean, seed: number, from?: ModuleUpdate): void {
  const { inFeatures: I, outFeatures: O } = linear;
  const { loraDropout } = lora;
  const useDora = from ? from.magnitude !== null : lora.useDora === true;
  const [r, scale] = from ? [from.r, from.scale] : [lora.r, lora.loraAlpha / lora.r];
  if (useDora && trained && loraDropout > 0) throw new Error('lora.loraDropout: with useDora there is no dropout here; set it to 0');
  const a = from ? from.a : kaimingUniform(r * I, I, deriveSeed(seed, `${linear.name}.lora_A`));
  linear.lora = {
    a: createParameter(device, `base_model.model.${linear.name}.lora_A.weight`, [r, I], 'f32', trained),
    b: createParameter(device, `base_model.model.${linear.name}.lora_B.weight`, [O, r], 'f32', trained),
    r, scale, p: loraDropout,
    dora: useDora ? createGain(device, linear, trained) : null,
  };
  if (useDora && from) device.write(linear.lora.dora!.magnitude.tensor, from.magnitude!);
  device.write(linear.lora.a.tensor, a);
  if (from) device.write(linear.lora.b.tensor, from.b);
}

function createGain(device: Device, { name, inFeatures: I, outFeatures: O }: Linear, trained: boolean): LoraModule['dora'] {
  const magnitude = createParameter(device, `base_model.model.${name}.lora_magnitude_vector`, [O], 'f32', trained);
  const unit = device.alloc(1);
  device.fill(unit, 1 / Math.sqrt(I), 1);
  return { magnitude, gain: device.alloc(O), inverse: device.alloc(O), unit, dgain: device.alloc(O) };
}

/** torch's kaiming_uniform_ with a = √5: uniform within ±√(6 / ((1 + 5) · fanIn)) = ±1/√fanIn. */
function kaimingUniform(length: number, fanIn: number, seed: number): Float32Array {
  const random = createRandom(seed);
  const bound = 1 / Math.sqrt(fanIn);
  return Float32Array.from({ length }, () => (2 * random.next() - 1) * bound);
}

/** Throws unless every module of the adapter is a linear of the model, in its shape. */
export function checkAdapter(linears: Linear[], adapter: ReadAdapter): void {
  const byName = new Map(linears.map((linear) => [linear.name, linear]));
  for (const [name, { a, b, r, magnitude }] of adapter.tensors) {
    const linear = byName.get(name);
    if (!linear) throw new Error(`adapter: ${name} is not a linear of this model's decoder; the adapter was made for another base model, or for a module that cannot carry one here`);
    const { inFeatures: I, outFeatures: O } = linear;
    if (a.length !== r * I || b.length !== O * r) {
      throw new Error(`adapter: ${name} has ${a.length} and ${b.length} values in lora_A and lora_B, expected ${r}·${I} and ${O}·${r}; it was made for another base model`);
    }
    if (magnitude && magnitude.length !== O) throw new Error(`adapter: ${name} has ${magnitude.length} values in lora_magnitude_vector, expected ${O}; it was made for another base model`);
  }
}

/** Throws unless the adapters on experts are what ops/experts.ts computes: one rank for all of a layer's, no DoRA. */
export function checkExperts({ layers }: Weights): void {
  for (const linear of layers.flatMap(({ mixture }) => mixture?.experts.flatMap((expert) => [expert.gate, expert.up, expert.down]) ?? [])) {
    if (linear.lora?.dora) throw new Error(`lora.useDora: ${linear.name} is an expert's, and experts carry no DoRA here; name linears of attention in targetModules, or train plain LoRA`);
  }
  for (const { experts } of layers.flatMap(({ mixture }) => mixture ?? [])) {
    for (const part of ['gate', 'up', 'down'] as const) {
      const ranks = new Set(experts.flatMap((expert) => expert[part].lora?.r ?? []));
      if (ranks.size > 1) throw new Error(`adapter: the experts around ${experts[0]![part].name} have ranks ${[...ranks].join(' and ')}; one rank for all experts of a layer can stand beside them, so merge the adapter into its base`);
    }
  }
}

/** Throws unless every tensor the adapter brings whole is one of the model's, in its shape. */
export function checkSaved(parameters: Pick<Parameter, 'name' | 'shape'>[], config: ModelConfig, { saved }: ReadAdapter): void {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  for (const [name, { shape }] of saved) {
    const parameter = byName.get(name);
    if (!parameter) {
      const tied = name === `${config.names.head}.weight` && config.tieWordEmbeddings;
      throw new Error(`adapter: it brings ${name}, ${tied ? 'which this model shares with its embedding and the adapter would not' : 'which is no tensor of this model'}; merge the adapter into its base with PEFT`);
    }
    if (shape.join() !== parameter.shape.join()) throw new Error(`adapter: it brings ${name} of shape [${shape.join(', ')}] where the model has [${parameter.shape.join(', ')}]; it was made for another base model, or for one with tokens added`);
  }
}

/** What ops/linear.ts needs of the adapter in one forward. Dropout works only in training; its mask hangs on the seed and the module's name. */
export function loraUpdate(linear: Linear, training: boolean, dropoutSeed: number): LoraUpdate | null {
  if (!linear.lora) return null;
  const { a, b, r, scale, p, dora } = linear.lora;
  return { a, b, r, scale, dora, p: training ? p : 0, seed: p > 0 ? deriveSeed(dropoutSeed, linear.name) : 0 };
}

/** values(O,I) + scale · B · A, in f32; with DoRA's magnitude, its rows of that length. */
export async function mergedWeight(device: Device, linear: Linear, values: Float32Array, update: ModuleUpdate): Promise<Float32Array> {
  const { inFeatures: I, outFeatures: O } = linear;
  const [w, a, b] = [device.alloc(O * I), device.alloc(update.r * I), device.alloc(O * update.r)];
  device.write(w, values);
  device.write(a, update.a);
  device.write(b, update.b);
  // The kernel that undoes a linear is this very product: dx(O,I) = dx + scale · B(O,r) · A(r,I).
  device.linearBackwardInput(w, b, a, O, I, update.r, update.scale, 1);
  const merged = (await device.read(w)) as Float32Array;
  for (const tensor of [w, a, b]) device.free(tensor);
  if (update.magnitude) scaleRows(merged, update.magnitude);
  return merged;
}
