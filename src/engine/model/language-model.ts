/**
 * A language model as every method of the field needs it: forward gives one log-probability per loss site, backward takes one upstream
 * gradient per loss site. Loading, LoRA, decoding and the model's tensors for saving are here; the layers are transformer.ts.
 * It knows no loss, no optimiser and no sampling.
 */
import type { Batch } from '../data/batch.ts';
import type { Device, Tensor } from '../device/device.ts';
import { cappedLogprob } from '../ops/capped-logprob.ts';
import { gather } from '../ops/embedding.ts';
import type { Balance } from '../ops/experts.ts';
import { linear } from '../ops/linear.ts';
import { logprob } from '../ops/logprob.ts';
import { createPool } from '../ops/pool.ts';
import { constant, createTape, type Tape, type Value } from '../ops/tape.ts';
import { type KeptStorage, keptStorage, type WeightStorage } from './base-weights.ts';
import { type ModelConfig, parseModelConfig } from './config.ts';
import { type CacheSequence, createKvCache, type KvCache } from './kv-cache.ts';
import { createDoraNorms } from './dora.ts';
import { chooseLabels } from './heads.ts';
import { attachLora, checkAdapter, checkExperts, checkSaved, loraUpdate, type LoraSetting, mergedWeight, type ModuleUpdate, type ReadAdapter, targetLinears } from './lora.ts';
import { checkIds, checkLong, longestText, packBatch, type Packed, packDecode } from './pack-inputs.ts';
import {
  adoptStored, buildWeights, checkTensors, createParameter, decoderLinears, drawParameter, isTransposed, type Linear, type LoraModule, type Parameter, readParameter, readStored, SCORE,
  storedName, type TensorFolder, transposed, writeParameter, writeStoredBlocks,
} from './parameters.ts';
import { unfused } from './fused-experts.ts';
import { createBalance, releaseBalance, routerLoss } from './router-loss.ts';
import { createRotaryTable, rotaryRows } from './rope-table.ts';
import { type Inputs, normed, transformer } from './transformer.ts';

export type LoadOptions = {
  /** Of frozen matrices; trained ones are f32. With q8_0 the model decodes and gives logits; log-probs (forward) and scores want the others. Blocks are never read back: tensors() wants f32 or bf16. */
  storage: WeightStorage;
  /** A matrix as it was kept when the adapter was trained, from the file's numbers: the base becomes that, however it is kept here (`keptAs`). */
  adapterBase?: (name: string, shape: number[], values: Float32Array, keptAs: Tensor['storage']) => Float32Array;
  /** 'score' trains the score head alone, on a frozen trunk. */
  trainable: 'all' | 'none' | 'lora' | 'score';
  /** A new adapter, with trainable: 'lora' and no adapter given. */
  lora?: LoraSetting;
  /** Draws new weights and new adapters. */
  seed?: number;
  /** Put beside the weights; trained on with trainable: 'lora'; folded into the weights with trainable: 'all'. */
  adapter?: ReadAdapter;
  /** Folded into the weights as they load, before any other adapter comes on top. */
  mergeAdapter?: ReadAdapter;
  gradientCheckpointing?: boolean;
  /** New weights instead of the folder's; only its config.json is read. */
  randomInit?: boolean;
  /**
   * Another model of the same folder: its frozen tensors are this one's too, so that only an adapter and a score head come on top. It must
   * outlive this model, and its storage is what counts.
   */
  shared?: LanguageModel;
  /** Asks for a score head with so many labels in place of the LM head: the adapter's, else the folder's own, else a new one. */
  numLabels?: number;
};

export type ForwardOptions = {
  /** Keep the tape, for backward. Dropout works only then. */
  gradient?: boolean;
  /** false runs the base alone: the reference of DPO. */
  adapter?: boolean;
  entropy?: boolean;
  best?: boolean;
};

/** Per loss site (M): logprobs and entropy in nats, best the argmax's id. `kept` is for backward. */
export type Forward = { logprobs: Float32Array; entropy?: Float32Array; best?: Int32Array; kept: Kept | null };

/** What a forward leaves for its backward. */
type Kept = { tape: Tape; out: Value; balance: Balance | null };

/** (M, labels) one row a loss site. `kept` is for backward. */
export type Scores = { scores: Float32Array; kept: Kept | null };

/** A batch whose targets are not looked at. */
export type Texts = Pick<Batch, 'tokens' | 'positions' | 'segments' | 'rows'>;

export interface LanguageModel {
  readonly config: ModelConfig;
  readonly device: Device;
  /** The trained ones, in a fixed order. */
  readonly parameters: readonly Parameter[];
  /** Those that never change, by name: what another model can share. */
  readonly frozen: ReadonlyMap<string, Parameter>;
  /**
   * Seed of the next gradient forward's dropout; each one moves it on by one. A run that must resume to the same bits sets it
   * from its step and micro-batch.
   */
  dropoutSeed: number;
  /**
   * Of the step's rows, the part that the next gradient forward holds: it weighs the load balancing loss of a mixture of experts, which is a
   * batch's, so that a step's is the mean of its micro-batches'.
   */
  microBatchShare: number;
  /** That loss since zeroGrad, weighed so (the config's coefficient left out); null of a model that has no routers to balance. */
  auxLoss(): number | null;
  /** log p(batch.targets[m] | everything up to batch.rows[m]) */
  forward(batch: Batch, options?: ForwardOptions): Promise<Forward>;
  /** Adds parameter gradients for dlogprobs (M), once, and frees the tape. */
  backward(forward: Forward, dlogprobs: Float32Array): void;
  /** The score head, or null; with one there is no LM head, and only forwardScores works. */
  readonly score: Parameter | null;
  /** The score head at batch.rows. */
  forwardScores(batch: Texts, options?: Pick<ForwardOptions, 'gradient' | 'adapter'>): Promise<Scores>;
  /** (M, C) what the score head sees at batch.rows; on a frozen trunk it is so for ever. */
  features(batch: Texts): Promise<Float32Array>;
  /** The score head on features (M, C). */
  scoreFeatures(features: Float32Array, options?: Pick<ForwardOptions, 'gradient'>): Promise<Scores>;
  /** Adds parameter gradients for dscores (M, labels), once, and frees the tape. */
  backwardScores(forward: Scores, dscores: Float32Array): void;
  /** Gives the gradients' memory back; the next backward starts from zeros. */
  zeroGrad(): void;
  /** (M, V) at batch.rows; for small uses, since they are all held. */
  logits(batch: Texts, options?: { adapter?: boolean }): Promise<Float32Array>;
  /** Room for that many tokens' keys and values. The caller frees it. */
  createCache(tokens: number): KvCache;
  /** Appends tokens to sequences of a cache; logits (S,V) of each one's last token, or (N,V) of all of them. */
  decode(cache: KvCache, inputs: { sequence: CacheSequence; tokens: ArrayLike<number> }[], options?: { adapter?: boolean; every?: boolean }): Promise<Float32Array>;
  /** (M, C) what the LM head would see at batch.rows: hidden states behind the final norm. */
  hidden(batch: Pick<Batch, 'tokens' | 'positions' | 'segments' | 'rows'>): Promise<Float32Array>;
  /** The whole model under Hugging Face names; merge folds the adapter in, otherwise the base is given as it is. */
  tensors(options: { merge: boolean }): { name: string; shape: number[]; read(): Promise<Float32Array> }[];
  /** The adapter's linears, for saving it; empty without one. */
  adapterModules(): AdapterModule[];
  free(): void;
}

/** `scale` and `magnitude` as in ModuleUpdate. */
export type AdapterModule = {
  name: string; inFeatures: number; outFeatures: number; r: number; scale: number;
  a: () => Promise<Float32Array>; b: () => Promise<Float32Array>; magnitude: (() => Promise<Float32Array>) | null;
};

export async function loadLanguageModel(device: Device, from: TensorFolder, options: LoadOptions): Promise<LanguageModel> {
  const { trainable, storage, seed = 0, gradientCheckpointing = false, randomInit = false } = options;
  const stored = parseModelConfig(from.config, `${from.folder}/config.json`);
  const folder = unfused(stored, from);
  if (!randomInit) checkTensors(stored, folder);
  const adapterScore = (options.adapter ?? options.mergeAdapter)?.score ?? null;
  const config = { ...stored, numLabels: chooseLabels(options.numLabels, adapterScore?.head.labels.length ?? stored.numLabels, folder.folder) };
  if (trainable === 'all' && storage !== 'f32') throw new Error(`language-model: storage ${storage} is for frozen weights; train every weight in f32, or use trainable: 'lora'`);
  if (options.shared && (trainable === 'all' || options.mergeAdapter)) throw new Error("language-model: shared tensors never change; put an adapter on them (trainable: 'lora'), or load a model of its own");
  if (trainable === 'lora' && !options.lora && !options.adapter) throw new Error("language-model: trainable 'lora' needs a lora setting or an adapter to train on");

  const beside = trainable === 'all' ? undefined : options.adapter;
  const folded = [options.mergeAdapter, trainable === 'all' ? options.adapter : undefined].filter((adapter) => adapter !== undefined);
  const isFolded = (name: string) => folded.some(({ tensors, saved }) => saved.has(name) || tensors.has(name.replace(/\.weight$/, '')));
  const kept = (name: string, shape: number[], wanted: WeightStorage): KeptStorage =>
    keptStorage(config, name, shape, randomInit || name === SCORE ? undefined : folder.tensors.get(storedName(config, folder, name))?.dtype, wanted);
  const all: Parameter[] = [];
  const adopted = new Set<Parameter>();
  const weights = buildWeights(config, (name, shape) => {
    const score = name === SCORE;
    const known = score ? undefined : options.shared?.frozen.get(name);
    const storedAs = kept(name, shape, score ? 'f32' : storage);
    const inFile = known || score || randomInit || trainable === 'all' || isFolded(name) || options.adapterBase ? null : adoptStored(device, config, folder, name, shape, storedAs);
    const parameter = known ?? createParameter(device, name, shape, storedAs, trainable === 'all' || (score && trainable !== 'none'), inFile);
    all.push(parameter);
    if (inFile) adopted.add(parameter);
    return parameter;
  });
  const frozen = new Map(all.filter((parameter) => !parameter.trained).map((parameter) => [parameter.name, parameter]));
  const own = all.filter((parameter) => options.shared?.frozen.get(parameter.name) !== parameter);
  const linears = decoderLinears(weights);
  for (const adapter of [...folded, ...(beside ? [beside] : [])]) checkAdapter(linears, adapter);
  for (const adapter of folded) checkSaved(all, config, adapter);
  if (beside?.saved.size) {
    throw new Error(`adapter: it brings tensors of its own beside its updates (${[...beside.saved.keys()].slice(0, 3).join(', ')}), which cannot be trained on or stand on a shared base here; export it merged (attune export --format safetensors) and name that`);
  }

  const linearOf = new Map(linears.map((linear) => [linear.weight, linear]));
  for (const parameter of own) {
    if (adopted.has(parameter)) continue;
    if (!isFolded(parameter.name) && !options.adapterBase && !randomInit && (await writeStoredBlocks(device, config, folder, parameter))) continue;
    const isNew = randomInit || (parameter === weights.score && stored.numLabels === null);
    let values = isNew ? drawParameter(config, parameter.name, parameter.tensor.length, seed) : await readStored(config, folder, parameter.name, parameter.shape);
    if (parameter === weights.score && adapterScore) values = adapterScore.values;
    const linear = linearOf.get(parameter);
    if (options.adapterBase && parameter !== weights.score) values = options.adapterBase(parameter.name, parameter.shape, values, parameter.tensor.storage);
    for (const adapter of folded) {
      values = adapter.saved.get(parameter.name)?.values ?? values;
      const update = linear && adapter.tensors.get(linear.name);
      if (update) values = await mergedWeight(device, linear, values, update);
    }
    writeParameter(device, parameter, values); // once, so that what is folded in is rounded only once
  }
  if (beside) {
    for (const linear of linears) {
      const from = beside.tensors.get(linear.name);
      if (from) attachLora(device, linear, beside, trainable === 'lora', seed, from);
    }
  } else if (trainable === 'lora' && options.lora) {
    for (const linear of targetLinears(linears, options.lora.targetModules)) attachLora(device, linear, options.lora, true, seed);
  }
  checkExperts(weights);
  const adapted = linears.filter((linear) => linear.lora !== null);
  const loraParameters = adapted.flatMap(({ lora }) => [lora!.a, lora!.b, ...(lora!.dora ? [lora!.dora.magnitude] : [])]);
  const withGain = adapted.filter(({ lora }) => lora!.dora);
  const norms = withGain.length > 0 ? createDoraNorms(device, withGain) : null;
  if (norms && !beside) await norms.start();
  const parameters = [...all, ...loraParameters].filter((parameter) => parameter.trained);

  const pool = createPool(device);
  const rotary = config.ropes.map((rope) => createRotaryTable(device, rope, config.rotaryDims));
  const { hiddenSize: C, vocabSize: V } = config;
  let logitsBuffer: Tensor | null = null;
  const { mixture } = config;
  const balanced = mixture !== null && mixture.routerAuxLossCoef > 0;
  let auxLoss = 0;

  async function readUpdate({ a, b, r, scale, dora }: LoraModule): Promise<ModuleUpdate> {
    const [first, second, magnitude] = await Promise.all([a, b, dora?.magnitude].map((parameter) => (parameter ? readParameter(device, parameter) : null)));
    return { a: first!, b: second!, r, scale, magnitude };
  }

  function upload(tape: Tape, data: Int32Array, width = 1): Value {
    const value = tape.value(width, false, 'i32');
    device.write(value.data, data);
    return value;
  }

  function lmHead(): Parameter {
    if (weights.head) return weights.head;
    throw new Error(`${folder.folder}: this is a ${config.numLabels === 1 ? 'reward model' : 'classifier'}: it scores texts and writes none; use it to score, or name a language model`);
  }

  function scoreHead(): Parameter {
    if (weights.score) return weights.score;
    throw new Error(`${folder.folder}: this model has no score head; train a reward model or a classifier on it first`);
  }

  /** The sums of a forward that will be undone; null where there is nothing to balance. */
  const balanceOf = (gradient: boolean): Balance | null => (gradient && balanced ? createBalance(device, pool, mixture.numExperts) : null);

  /** Adds a forward's load balancing loss to the step's. */
  async function addAuxLoss(balance: Balance | null, N: number): Promise<void> {
    if (balance) auxLoss += model.microBatchShare * (await routerLoss(device, balance, N, mixture!.routerAuxLossCoef * model.microBatchShare));
  }

  function backward(kept: Kept, gradient: Float32Array): void {
    const { tape, out, balance } = kept;
    if (out.requiresGrad) {
      out.grad = pool.take(out.width);
      device.write(out.grad, gradient);
      tape.backward();
    }
    tape.release([out]);
    if (balance) releaseBalance(pool, balance);
  }

  /** The final norm's output at the rows asked for, (M,C). */
  function hiddenAt(tape: Tape, packed: Packed, rows: Int32Array, inference: Pick<Inputs, 'lora' | 'cache'>, balance: Balance | null = null): Value {
    const N = packed.tokens.length, M = rows.length, S = packed.segments.length / 6;
    const turned = rotaryRows(config, packed.positions, packed.segments);
    if (weights.embedPositions) checkIds(packed.positions, config.maxPositionEmbeddings, 'position');
    for (const table of rotary) table.reserve(turned.reduce((most, row) => Math.max(most, row), 0) + 1);
    const x = transformer(tape, config, weights, {
      N, S, rotary, gradientCheckpointing, balance, ...inference, longest: longestText(packed.segments),
      order: mixture && mixture.sharedIntermediateSize > 0 ? upload(tape, Int32Array.from({ length: N }, (_, n) => n)) : null,
      tokens: upload(tape, packed.tokens), positions: upload(tape, packed.positions), rotaryRows: upload(tape, turned), segments: upload(tape, packed.segments, 6),
    });
    const chosen = gather(tape, x, upload(tape, rows), N, M);
    tape.done(x);
    return normed(tape, config, chosen, weights.norm, M);
  }

  async function logitsAt(packed: Packed, rows: Int32Array, inference: Pick<Inputs, 'lora' | 'cache'>): Promise<Float32Array> {
    const M = rows.length;
    const head = lmHead();
    if (M === 0) return new Float32Array(0);
    pool.reserve(Math.max(packed.tokens.length, M));
    const tape = createTape(device, pool, false);
    const hidden = tape.scope(() => hiddenAt(tape, packed, rows, inference));
    if (!logitsBuffer || logitsBuffer.length < M * V) {
      if (logitsBuffer) device.free(logitsBuffer);
      logitsBuffer = device.alloc(M * V); // beside the pool: its width is V, and its rows are few
    }
    device.linear(logitsBuffer, hidden.data, head.tensor, null, M, C, V, 1, 0);
    tape.release([hidden]);
    const logits = (await device.read(logitsBuffer, 0, M * V)) as Float32Array;
    const cap = config.logitCap;
    return cap > 0 ? logits.map((x) => cap * Math.tanh(x / cap)) : logits;
  }

  const adapterOf = (on: boolean, training: boolean, dropoutSeed: number) => {
    if (on) norms?.refresh();
    return (linear: Linear) => (on ? loraUpdate(linear, training, dropoutSeed) : null);
  };
  /** Caches in which the adapter's gains have been found: what was decoded before they change is of no use after. */
  const begun = new WeakSet<KvCache>();
  const adapterOfCache = (cache: KvCache, on: boolean) => {
    if (on && norms && !begun.has(cache)) {
      norms.refresh();
      begun.add(cache);
    }
    return (linear: Linear) => (on ? loraUpdate(linear, false, 0) : null);
  };

  const model: LanguageModel = {
    config,
    device,
    parameters,
    frozen,
    score: weights.score,
    dropoutSeed: seed,
    microBatchShare: 1,
    auxLoss: () => (balanced ? auxLoss : null),

    async forward(batch, { gradient = false, adapter = true, entropy, best } = {}) {
      checkIds(batch.tokens, V, 'token');
      checkIds(batch.targets, V, 'target');
      checkIds(batch.rows, batch.tokens.length, 'row');
      const M = batch.rows.length;
      const head = lmHead();
      if (M === 0) return { logprobs: new Float32Array(0), entropy: entropy ? new Float32Array(0) : undefined, best: best ? new Int32Array(0) : undefined, kept: null };
      const dropoutSeed = gradient ? model.dropoutSeed++ : 0;
      pool.reserve(Math.max(batch.tokens.length, M));
      const tape = createTape(device, pool, gradient);
      const balance = balanceOf(gradient);
      let wanted: Value[] = [];
      const out = tape.scope(() => {
        const hidden = hiddenAt(tape, packBatch(batch), batch.rows, { lora: adapterOf(adapter, gradient, dropoutSeed), cache: null }, balance);
        const targets = upload(tape, batch.targets);
        const made = config.logitCap > 0 ? cappedLogprob(tape, hidden, head, targets, M, C, V, config.logitCap, { entropy, best })
          : logprob(tape, hidden, head, targets, M, C, V, { entropy, best });
        wanted = [made.entropy, made.best].filter((value) => value !== null);
        tape.hold(wanted);
        return made.logprobs;
      });
      const [logprobs, ...others] = await Promise.all([out, ...wanted].map((value) => device.read(value.data, 0, M)));
      tape.release(wanted);
      if (!gradient) tape.release([out]);
      await addAuxLoss(balance, batch.tokens.length);
      return {
        logprobs: logprobs as Float32Array,
        entropy: entropy ? (others.shift() as Float32Array) : undefined,
        best: best ? (others.shift() as Int32Array) : undefined,
        kept: gradient ? { tape, out, balance } : null,
      };
    },

    backward(forward, dlogprobs) {
      if (dlogprobs.length !== forward.logprobs.length) throw new Error(`backward: ${dlogprobs.length} gradients for ${forward.logprobs.length} log-probabilities; give one for each`);
      if (!forward.kept) {
        if (forward.logprobs.length === 0) return;
        throw new Error('backward: this forward kept no tape; call forward with gradient: true, and backward once');
      }
      backward(forward.kept, dlogprobs);
      forward.kept = null;
    },

    async forwardScores(batch, { gradient = false, adapter = true } = {}) {
      const score = scoreHead();
      checkIds(batch.tokens, V, 'token');
      checkIds(batch.rows, batch.tokens.length, 'row');
      const M = batch.rows.length, O = score.shape[0]!;
      if (M === 0) return { scores: new Float32Array(0), kept: null };
      const dropoutSeed = gradient ? model.dropoutSeed++ : 0;
      pool.reserve(Math.max(batch.tokens.length, M));
      const tape = createTape(device, pool, gradient);
      const balance = balanceOf(gradient);
      const out = tape.scope(() => {
        const hidden = hiddenAt(tape, packBatch(batch), batch.rows, { lora: adapterOf(adapter, gradient, dropoutSeed), cache: null }, balance);
        return linear(tape, hidden, { inFeatures: C, outFeatures: O, weight: score, bias: null }, M);
      });
      const scores = (await device.read(out.data, 0, M * O)) as Float32Array;
      if (!gradient) tape.release([out]);
      await addAuxLoss(balance, batch.tokens.length);
      return { scores, kept: gradient ? { tape, out, balance } : null };
    },

    async features(batch) {
      checkIds(batch.tokens, V, 'token');
      checkIds(batch.rows, batch.tokens.length, 'row');
      const M = batch.rows.length;
      if (M === 0) return new Float32Array(0);
      pool.reserve(Math.max(batch.tokens.length, M));
      const tape = createTape(device, pool, false);
      const hidden = tape.scope(() => hiddenAt(tape, packBatch(batch), batch.rows, { lora: adapterOf(true, false, 0), cache: null }));
      const features = (await device.read(hidden.data, 0, M * C)) as Float32Array;
      tape.release([hidden]);
      return features;
    },

    async scoreFeatures(features, { gradient = false } = {}) {
      const score = scoreHead();
      const M = features.length / C, O = score.shape[0]!;
      if (M === 0) return { scores: new Float32Array(0), kept: null };
      pool.reserve(M);
      const tape = createTape(device, pool, gradient);
      const out = tape.scope(() => {
        const hidden = tape.value(C, false);
        device.write(hidden.data, features);
        return linear(tape, hidden, { inFeatures: C, outFeatures: O, weight: score, bias: null }, M);
      });
      const scores = (await device.read(out.data, 0, M * O)) as Float32Array;
      if (!gradient) tape.release([out]);
      return { scores, kept: gradient ? { tape, out, balance: null } : null };
    },

    backwardScores(forward, dscores) {
      if (dscores.length !== forward.scores.length) throw new Error(`backwardScores: ${dscores.length} gradients for ${forward.scores.length} scores; give one for each`);
      if (!forward.kept) {
        if (forward.scores.length === 0) return;
        throw new Error('backwardScores: this forward kept no tape; call forwardScores with gradient: true, and backwardScores once');
      }
      backward(forward.kept, dscores);
      forward.kept = null;
    },

    zeroGrad() {
      auxLoss = 0;
      for (const parameter of parameters) {
        if (parameter.grad) pool.give(parameter.grad);
        parameter.grad = null;
      }
    },

    async logits(batch, { adapter = true } = {}) {
      checkIds(batch.tokens, V, 'token');
      checkIds(batch.rows, batch.tokens.length, 'row');
      return logitsAt(packBatch(batch), batch.rows, { lora: adapterOf(adapter, false, 0), cache: null });
    },

    async hidden(batch) {
      checkIds(batch.tokens, V, 'token');
      checkIds(batch.rows, batch.tokens.length, 'row');
      pool.reserve(batch.tokens.length);
      const tape = createTape(device, pool, false);
      const out = tape.scope(() => hiddenAt(tape, packBatch(batch), batch.rows, { lora: adapterOf(true, false, 0), cache: null }));
      const hidden = (await device.read(out.data, 0, batch.rows.length * C)) as Float32Array;
      tape.release([out]);
      return hidden;
    },

    createCache: (tokens) => createKvCache(device, config, tokens),

    async decode(cache, inputs, { adapter = true, every = false } = {}) {
      for (const { sequence, tokens } of inputs) checkLong(config, sequence, tokens.length);
      const appended = packDecode(inputs);
      checkIds(appended.tokens, V, 'token');
      const row = config.numKeyValueHeads * config.headDim;
      return logitsAt(appended, every ? appended.tokens.map((_, i) => i) : appended.lastRows, {
        lora: adapterOfCache(cache, adapter),
        cache(layer, keys, values) {
          const kept = cache.layers[layer]!;
          for (const { from, to, length } of appended.moves) {
            device.copy(kept.keys, to * row, keys.data, from * row, length * row);
            device.copy(kept.values, to * row, values.data, from * row, length * row);
          }
          return { keys: constant(kept.keys, row), values: constant(kept.values, row) };
        },
      });
    },

    tensors({ merge }) {
      const merged = new Map(merge ? adapted.map((linear) => [linear.weight, linear]) : []);
      /** As Hugging Face has it. */
      const stored = (parameter: Parameter, values: Float32Array) => (flipped(parameter) ? transposed(values, parameter.shape[0]!, parameter.shape[1]!) : values);
      const flipped = (parameter: Parameter) => isTransposed(config, parameter.name, parameter.shape);
      return all.map((parameter) => ({
        name: parameter.name,
        shape: flipped(parameter) ? [...parameter.shape].reverse() : parameter.shape,
        async read() {
          const linear = merged.get(parameter);
          const values = await readParameter(device, parameter);
          if (!linear) return stored(parameter, values);
          return stored(parameter, await mergedWeight(device, linear, values, await readUpdate(linear.lora!)));
        },
      }));
    },

    adapterModules: () => adapted.map(({ name, inFeatures, outFeatures, lora }) => {
      const { a, b, r, scale, dora } = lora!;
      return {
        name, inFeatures, outFeatures, r, scale,
        a: () => readParameter(device, a), b: () => readParameter(device, b), magnitude: dora && (() => readParameter(device, dora.magnitude)),
      };
    }),

    free() {
      for (const { tensor } of [...own, ...loraParameters]) device.free(tensor);
      norms?.free();
      for (const { lora } of withGain) {
        const { gain, inverse, unit, dgain } = lora!.dora!;
        for (const tensor of [gain, inverse, unit, dgain]) device.free(tensor);
      }
      if (logitsBuffer) device.free(logitsBuffer);
      for (const table of rotary) table.free();
      pool.clear();
    },
  };
  return model;
}
