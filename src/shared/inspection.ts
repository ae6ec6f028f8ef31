/**
 * What the model inspector tells of a model: its shapes and what they take, its vocabulary, the numbers in its tensors, and what sets two
 * models apart. Found by the engine (jobs/inspect-model.ts), kept and paged by main (main/inspection/), shown by window and command line.
 * Names are Hugging Face's; bytes, tokens and counts are plain numbers.
 */

/** What a tensor is for. `adapter`: LoRA matrices, beside the base they stand on. */
export const PARTS = ['embedding', 'attention', 'mlp', 'norms', 'head', 'adapter'] as const;
export type Part = (typeof PARTS)[number];

/** `layer` from 0; null outside of the layers. `module`: the name below its layer, such as self_attn.q_proj.weight. `dtype` and `bytes` as stored. */
export type InspectedTensor = { name: string; shape: number[]; dtype: string; bytes: number; part: Part; layer: number | null; module: string };

/** A rotary embedding's kind and scaling. `factor`: of the context's length, where the kind has one. */
export type InspectedRope = { theta: number; type: string; factor: number | null; originalContext: number | null };

export type InspectedAttention = {
  /** Query heads, and key/value heads that share them out: as many (multi-head), one (multi-query), or fewer (grouped-query). */
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Keys a query of a layer sees, itself included; 0: all before it. `rope`: index into ropes, null: positions are not turned there. */
  layers: { window: number; rope: number | null }[];
  ropes: InspectedRope[];
  /** Dims of a head that are turned. */
  rotaryDims: number;
  /** Positions are learned rows of an embedding, in place of rotary ones. */
  learnedPositions: boolean;
  /** RMSNorm on queries and keys. */
  qkNorm: boolean;
  /** Scores become cap · tanh(score / cap); 0: they do not. */
  cap: number;
};

/** How weights can be kept: matrices in the type (in f16 where rows are no whole blocks), vectors in f32. q4_k_m as llama.cpp mixes it. */
export const PRECISIONS = ['f32', 'bf16', 'f16', 'q8_0', 'q4_0', 'q4_k_m'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** Bytes that training takes beside the program itself. */
export type TrainingMemory = { weights: number; gradients: number; optimizer: number; activations: number };

export type Inspection = {
  architecture: string;
  family: string;
  hiddenSize: number;
  intermediateSize: number;
  vocabularySize: number;
  contextLength: number;
  activation: string;
  gated: boolean;
  norm: 'rms' | 'layer';
  /** The head is the embedding. */
  tied: boolean;
  /** Rows of a score head; null of a language model. */
  labels: number | null;
  attention: InspectedAttention;
  /** Of a mixture of experts: how many a layer has, how many a token goes through, and the parameters it meets. */
  experts: { count: number; perToken: number; activeParameters: number } | null;
  /** The base's as stored, then the adapter's. */
  tensors: InspectedTensor[];
  adapter: { rank: number; alpha: number; modules: string[] } | null;
  parts: { part: Part; tensors: number; parameters: number; bytes: number }[];
  memory: { precision: Precision; bytes: number }[];
  /** One row of `tokens`, every token carrying loss; LoRA of rank `loraRank` on every linear over the base as it is stored. */
  training: { tokens: number; loraRank: number; full: TrainingMemory; lora: TrainingMemory };
  /** Keys and values of one text. `kept`: as this program keeps them (f32, every token of every layer); `windowed`: in f16, where a layer with a window keeps only that. */
  cache: { tokens: number; kept: number; windowed: number }[];
};

/** `byte`: one byte that other tokens do not spell; `unused`: an id with an embedding row and no token. */
export type TokenKind = 'normal' | 'special' | 'added' | 'byte' | 'unused';

export type VocabularyEntry = {
  id: number;
  /** The vocabulary's own string: Ġthe, ▁the, <0x0A>. */
  token: string;
  kind: TokenKind;
  /** What it adds to a text, as hex; null of a control token. Whole UTF-8 is `text`, too. */
  bytes: string | null;
  text: string | null;
  /** Of BPE: the pair it is merged from, and its place in the order of merges, from 0. */
  merge: { left: string; right: string; rank: number } | null;
  /** Of Unigram: its log-probability. */
  score: number | null;
  /** What it is for beside text: `bos`, `eos`, `pad`, `unk`, `sep`, `cls`, `mask`, `end` (ends an answer), `prefix` (stands before every text), `template` (the chat template writes it). */
  roles: string[];
};

export type Vocabulary = { type: string; entries: VocabularyEntry[] };

/** Of a tensor's finite values. `bins` cut min … max evenly, the last one closed; all zero where there is nothing to cut. */
export type TensorNumbers = {
  name: string;
  count: number;
  /** How many are NaN or infinite; the numbers below leave them out, and are null where nothing remains. */
  nonFinite: number;
  zeros: number;
  min: number | null;
  max: number | null;
  mean: number | null;
  /** Of the population (divided by n). */
  std: number | null;
  /** √Σx² */
  l2: number | null;
  bins: number[];
};

/** A tensor of two models. Where the shapes differ, or only one has it, there is nothing to compare. */
export type TensorChange = {
  name: string;
  part: Part;
  layer: number | null;
  module: string;
  parameters: number;
  found: 'both' | 'only-model' | 'only-other' | 'other-shape';
  /** ‖model − other‖ / ‖other‖; null where other is all zeros and model is not. */
  relative: number | null;
  /** Of the two as vectors; null where one is all zeros. */
  cosine: number | null;
  /** Largest |model − other|. */
  largest: number | null;
  /** ‖model − other‖² and ‖other‖², that layers and parts can be summed. */
  squares: { change: number; other: number } | null;
};

export type WeightChanges = { tensors: TensorChange[] };
