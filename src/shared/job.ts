/**
 * main ↔ engine: a job goes down, events come up. Everything here is plain data; tensors stay on disk and paths travel.
 * Paths are absolute and resolved by main: the engine never looks into the library or the database.
 */
import { z } from 'zod';
import { Selection } from './best-of.ts';
import { Constraint, type Validity } from './constraint.ts';
import { type Example, Message, Template } from './dataset.ts';
import { DeviceName } from './devices.ts';
import { About, GivenAbout } from './export-about.ts';
import { MetricPoint } from './metrics.ts';
import { Recipe } from './recipe.ts';
import { Reward } from './recipes/rewards.ts';
import type { RunReport } from './reports.ts';
import { type Filter, type FinishReason, Sampling } from './sampling.ts';
import type { ServedEvent, ServeRequest } from './serving.ts';
import { type Tool, Tools } from './tools.ts';

/** A model on disk: a Hugging Face folder, and optionally a PEFT adapter folder to put on it. */
export const ModelPath = z.strictObject({ folder: z.string(), adapter: z.string().optional() });
export type ModelPath = z.infer<typeof ModelPath>;

const device = { device: DeviceName.default('native'), threads: z.int().min(0).default(0).describe('0: all cores') };

/** How a model that only answers keeps its matrices: as they are stored, or in ggml's Q8_0, made from them as it loads. */
export const Dtype = z.enum(['stored', 'q8_0']);
export type Dtype = z.infer<typeof Dtype>;

/**
 * Train. `folder` is the run's own: the engine writes checkpoints/step-NNNNNN/ into it, each beside and renamed in, and final state is the last one.
 * `train` and `validation` are JSONL files of Example rows that main wrote there. Starts from the newest whole checkpoint in the folder, if any (resume).
 */
export const TrainJob = z.strictObject({
  type: z.literal('train'),
  ...device,
  folder: z.string(),
  recipe: Recipe,
  model: ModelPath,
  /** Of the other models the recipe names, by the name it has for each. */
  models: z.record(z.string(), ModelPath).default({}),
  train: z.string(),
  validation: z.string().nullable(),
});

/** What a prompt is: text through the template, messages through the template, or raw text. */
export const Prompt = z.union([z.strictObject({ raw: z.string() }), z.strictObject({ messages: z.array(Message).min(1), tools: Tools.optional() })]);
export type Prompt = z.infer<typeof Prompt>;

export const SampleJob = z.strictObject({
  type: z.literal('sample'),
  ...device,
  model: ModelPath,
  template: Template.default('chat'),
  prompts: z.array(Prompt).min(1),
  sampling: Sampling,
  constraint: Constraint.optional(),
  dtype: Dtype.default('stored'),
  /** Prompts decoded together. */
  batchSize: z.int().min(1).default(32),
});

/** So many answers to each prompt, and one chosen. */
export const BestOfJob = z.strictObject({
  type: z.literal('best-of'),
  ...device,
  model: ModelPath,
  template: Template.default('chat'),
  prompts: z.array(z.strictObject({ prompt: Prompt, /** the right answer, where it is known */ expected: z.string().nullable() })).min(1),
  sampling: Sampling,
  constraint: Constraint.optional(),
  count: z.int().min(1).max(1024),
  selection: Selection,
  /** Reward models that the selection names. */
  models: z.record(z.string(), z.strictObject({ path: ModelPath, template: Template })).default({}),
});

/** A model kept loaded: each `chat` message from main samples one answer. */
export const ChatJob = z.strictObject({ type: z.literal('chat'), ...device, model: ModelPath, template: Template.default('chat'), dtype: Dtype.default('stored') });

/** A model kept loaded that answers many requests at once (shared/serving.ts): each `serve` message from main is one. Its `result` is a ServedModel. */
export const ServeJob = z.strictObject({ type: z.literal('serve'), ...device, model: ModelPath, template: Template.default('chat'), dtype: Dtype.default('stored') });

/** `against`: another model of the same tokenizer, held against it token by token. */
export const LogprobsJob = z.strictObject({ type: z.literal('logprobs'), ...device, model: ModelPath, against: ModelPath.optional(), text: z.string() });
/** Whether a constraint can be enforced with a model's tokenizer. */
export const ConstraintJob = z.strictObject({ type: z.literal('constraint'), model: ModelPath, constraint: Constraint });
export const TokenizeJob = z.strictObject({ type: z.literal('tokenize'), model: ModelPath, text: z.string() });

/** Held-out numbers of one model: SFT-style loss and perplexity on instruction rows, accuracy and margin on preference pairs. */
export const EvaluateJob = z.strictObject({
  type: z.literal('evaluate'),
  ...device,
  model: ModelPath,
  /** DPO's implicit rewards (accuracy, margin, with beta) are taken against this model when given. */
  reference: ModelPath.optional(),
  beta: z.number().gt(0).default(0.1),
  template: Template.default('chat'),
  instructions: z.string().nullable().describe('JSONL of Example rows'),
  preferences: z.string().nullable().describe('JSONL of preference rows'),
  maxLength: z.int().default(1024),
});

/** Each pair's two answers are judged by a model that is shown the rubric, or by a reward model's scores of them. */
export const JudgeJob = z.strictObject({
  type: z.literal('judge'),
  ...device,
  model: ModelPath,
  template: Template.default('chat'),
  rubric: z.string().min(1).nullable().describe('null: the model is a reward model'),
  pairs: z.string().describe('JSONL of preference rows'),
});

/** How far a model has gone from a reference, over its own answers to the prompts, sampled at temperature 1. */
export const DivergenceJob = z.strictObject({
  type: z.literal('divergence'),
  ...device,
  model: ModelPath,
  reference: ModelPath,
  template: Template.default('chat'),
  prompts: z.array(Prompt).min(1),
  maxTokens: z.int().min(1),
  seed: z.int().min(0).default(0),
});

export const ExportJob = z.strictObject({
  type: z.literal('export'),
  model: ModelPath,
  /** lora-gguf: an adapter alone, for llama.cpp. */
  format: z.enum(['safetensors', 'peft', 'gguf', 'lora-gguf']),
  dtype: z.enum(['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_k_m']),
  out: z.string(),
  /** Says what of `out` is finished, so that it is gone on with; without one all is written at one go. */
  journal: z.string().optional(),
  /** As the library calls it. */
  name: z.string(),
  /**
   * What is known for its description: `baseName` and `base` are the model at the root of its lineage, by name and where it lies; `stated` is what that one's card says
   * (a GGUF base says it itself); `method` null: it was not trained here.
   */
  about: z.strictObject({ baseName: z.string(), base: z.string(), method: z.string().nullable(), datasets: z.array(z.string()), stated: About, given: GivenAbout }),
});

/** What was exported: a Hugging Face folder (maybe with an adapter on it), or one GGUF file. */
export const ExportedModel = z.union([ModelPath, z.strictObject({ gguf: z.string() })]);
export type ExportedModel = z.infer<typeof ExportedModel>;

/** Scores of rows by a reward model or a classifier. */
export const ScoreJob = z.strictObject({
  type: z.literal('score'),
  ...device,
  model: ModelPath,
  template: Template.default('chat'),
  examples: z.string().describe('JSONL of Example rows'),
  maxLength: z.int().default(1024),
});

/** Rewards of a recipe on one answer, to see what they give before a run does. */
export const TryRewardsJob = z.strictObject({
  type: z.literal('try-rewards'),
  ...device,
  /** Counts the answer's tokens. */
  model: ModelPath,
  template: Template.default('chat'),
  rewards: z.array(Reward).min(1),
  /** Of the reward models, by the name the rewards have for them. */
  models: z.record(z.string(), ModelPath),
  prompt: z.string(),
  completion: z.string(),
  expected: z.string().nullable(),
});

/** Loads what was exported and holds its greedy answers against the model's own. */
export const ParityJob = z.strictObject({
  type: z.literal('parity'),
  ...device,
  model: ModelPath,
  template: Template.default('chat'),
  exported: ExportedModel,
  prompts: z.array(Prompt).min(1),
  maxTokens: z.int().min(1).default(32),
});

/** Tokens that were given, those an answer to them has, and of each of those its log-prob and the likeliest at its place. `text`: where the prompt is one bare text. */
export const ForcedText = z.strictObject({ text: z.string().nullable(), prompt: z.array(z.int()), answer: z.array(z.int()), logprobs: z.array(z.number()), best: z.array(z.int()) });
export type ForcedText = z.infer<typeof ForcedText>;

/** What llama.cpp makes of an exported GGUF file. A process of its own: where llama.cpp gives up, it takes the process along. */
export const LlamaCppJob = z.strictObject({
  type: z.literal('llamacpp'),
  /** The module of node-llama-cpp. */
  entry: z.string(),
  gguf: z.string(),
  /** An adapter on it, itself GGUF. */
  lora: z.string().optional(),
  /** As LlamaCppParity's comparison needs them. */
  forced: z.array(ForcedText).min(1),
});

/** Says what training would run on (its `ready` event), and ends. */
export const DeviceJob = z.strictObject({ type: z.literal('device'), ...device, selfTest: z.boolean().default(false) });

/** Facts of model and adapter folders, off their config files and the headers of their weights: no tensor is read. Answers FolderFacts[] in order. */
export const DescribeJob = z.strictObject({ type: z.literal('describe'), folders: z.array(z.string()).min(1) });

/** What a model is made of and what it takes, off its config and headers: an Inspection (shared/inspection.ts). */
export const InspectJob = z.strictObject({ type: z.literal('inspect'), model: ModelPath });
/** Every entry of a model's vocabulary: a Vocabulary. */
export const VocabularyJob = z.strictObject({ type: z.literal('vocabulary'), model: ModelPath });
/** The numbers in every tensor, with a `count` a tensor: TensorNumbers[]. */
export const WeighJob = z.strictObject({ type: z.literal('weigh'), model: ModelPath });
/** How far the tensors of a model are from another's, with a `count` a tensor: WeightChanges. */
export const DiffJob = z.strictObject({ type: z.literal('diff'), model: ModelPath, other: ModelPath });

/** Tokens of a row as trained, cut to maxLength: prompt-and-answer rows as [tokens, tokens with loss], answers to one prompt as [prompt, answer, answer, …]. */
export const RowLengths = z.array(z.int()).min(2);
export type RowLengths = z.infer<typeof RowLengths>;

/** What a recipe would take, before it starts: steps, memory, arithmetic. No weight is read. */
export const PlanJob = z.strictObject({
  type: z.literal('plan'),
  ...device,
  recipe: Recipe,
  model: ModelPath,
  /** As in train. */
  models: z.record(z.string(), ModelPath).default({}),
  /** Sampled training rows: to be tokenised, or as an earlier plan told their lengths. */
  sample: z.union([z.strictObject({ examples: z.string().describe('JSONL of Example rows') }), z.strictObject({ rows: z.array(RowLengths) })]),
  trainRows: z.int().min(1),
  validationRows: z.int().min(0),
  /** Measure the kernels at the model's shapes (about 0.2 s). */
  measureSpeed: z.boolean(),
});

/** Tokens with their loss mask, for people to see what is trained. */
export const ShowJob = z.strictObject({
  type: z.literal('show'),
  model: ModelPath,
  template: Template,
  maxLength: z.int(),
  completionOnlyLoss: z.boolean().default(true),
  examples: z.string().describe('JSONL of Example rows'),
  limit: z.int().min(1).default(3),
});

/** A tokenizer kept loaded: each `render` message from main shows one row. */
export const RenderJob = z.strictObject({ type: z.literal('render'), model: ModelPath });

export const Job = z.discriminatedUnion('type', [
  TrainJob, SampleJob, ChatJob, LogprobsJob, TokenizeJob, EvaluateJob, ScoreJob, ExportJob, ParityJob, LlamaCppJob, DeviceJob, ShowJob, RenderJob, DescribeJob,
  PlanJob, JudgeJob, DivergenceJob, TryRewardsJob, BestOfJob, ConstraintJob, ServeJob, InspectJob, VocabularyJob, WeighJob, DiffJob,
]);
export type TrainJob = z.infer<typeof TrainJob>;
export type SampleJob = z.infer<typeof SampleJob>;
export type BestOfJob = z.infer<typeof BestOfJob>;
export type ChatJob = z.infer<typeof ChatJob>;
export type ServeJob = z.infer<typeof ServeJob>;
export type LogprobsJob = z.infer<typeof LogprobsJob>;
export type ConstraintJob = z.infer<typeof ConstraintJob>;
export type TokenizeJob = z.infer<typeof TokenizeJob>;
export type EvaluateJob = z.infer<typeof EvaluateJob>;
export type JudgeJob = z.infer<typeof JudgeJob>;
export type DivergenceJob = z.infer<typeof DivergenceJob>;
export type TryRewardsJob = z.infer<typeof TryRewardsJob>;
export type ScoreJob = z.infer<typeof ScoreJob>;
export type ExportJob = z.infer<typeof ExportJob>;
export type ParityJob = z.infer<typeof ParityJob>;
export type LlamaCppJob = z.infer<typeof LlamaCppJob>;
export type DeviceJob = z.infer<typeof DeviceJob>;
export type ShowJob = z.infer<typeof ShowJob>;
export type RenderJob = z.infer<typeof RenderJob>;
export type DescribeJob = z.infer<typeof DescribeJob>;
export type PlanJob = z.infer<typeof PlanJob>;
export type InspectJob = z.infer<typeof InspectJob>;
export type VocabularyJob = z.infer<typeof VocabularyJob>;
export type WeighJob = z.infer<typeof WeighJob>;
export type DiffJob = z.infer<typeof DiffJob>;
export type Job = z.infer<typeof Job>;

/** Down, while a job runs. */
export type EngineCommand =
  | { type: 'job'; job: Job }
  | { type: 'pause' } | { type: 'resume' } | { type: 'stop' }
  /** Main has written down a run's checkpoint of this step, and what was told up to it. */
  | { type: 'kept'; step: number }
  | {
      type: 'chat'; messages: Message[]; tools?: Tool[]; sampling: Sampling; constraint?: Constraint;
      /** likeliest tokens told at each place; 0 by default */
      alternatives?: number;
      /** tokens the answer begins with; those before the last are not told again */
      begins?: number[];
    }
  /** What each filter makes of the place after the prompt and `completion`: a `looked`. */
  | { type: 'look'; messages: Message[]; completion: number[]; sampling: Sampling; count: number }
  /** How the model finds every token of the prompt and an answer to it: a `read`. */
  | { type: 'read'; messages: Message[]; completion: /** as tokens, or as text */ number[] | string }
  | { type: 'serve'; request: ServeRequest }
  /** Ends a served request, wherever it is. */
  | { type: 'cancel'; id: number }
  | { type: 'render'; id: number; example: Example; template: Template; maxLength: number; completionOnlyLoss: boolean };

/** `score`: by which beams are ranked, the sum of log-probs (less penalties) / length ** lengthPenalty. */
export type BeamText = { text: string; ids: number[]; logprobs: number[]; score: number; finishReason: FinishReason };

/** The next-token distribution under the model and after each filter that did something, in order. `probabilities` of a token: one a stage. */
export type LookedTrace = {
  stages: { stage: 'model' | 'mask' | Filter; /** tokens that may still be drawn */ kept: number; /** nats */ entropy: number }[];
  tokens: { id: number; text: string; probabilities: number[] }[];
};

/** Nats, under the model itself; null for a text's first token. `best`: what the model found likeliest there. */
export type ReadToken = { id: number; text: string; logprob: number | null; entropy: number | null; best: { id: number; text: string } | null };
/** The prompt's tokens first. Perplexities are null where there is no token that has a log-prob. */
export type ReadText = { tokens: ReadToken[]; promptTokens: number; promptPerplexity: number | null; answerPerplexity: number | null };

/** What a run tells of its steps; told once more with the checkpoint that a resumed run goes on from, where main was not known to have written it down. */
export type ToldEvent =
  /** `seconds` as in progress. */
  | ({ type: 'metrics'; seconds: number } & MetricPoint)
  /** Held-out prompts answered by the model as it is after a step. */
  | { type: 'samples'; step: number; samples: { prompt: Message[] | string; completion: string; expected: string | null }[] }
  /** What an evaluation found beside its numbers. */
  | { type: 'report'; step: number; report: RunReport };

export type CheckpointEvent = {
  type: 'checkpoint';
  path: string;
  step: number;
  /** Over every file of the checkpoint that resume depends on. */
  sha256: string;
  best: boolean;
};

/** What `show` says of one example: its tokens in order, each with whether it carries loss. A character cut over several tokens stands at the last of them. */
export type ShownExample = { pieces: { id: number; text: string; loss: boolean }[]; truncated: boolean };

/** Up. Every job ends with exactly one `done` or `error`. */
export type EngineEvent =
  | { type: 'ready'; device: string; memoryBytes?: number; engineVersion: string }
  /** Once, before the first step: the step it goes on from (0 on a fresh run), and what it trains. */
  | { type: 'start'; step: number; totalSteps: number; parameters: number; trainableParameters: number }
  | {
      type: 'progress';
      step: number;
      totalSteps: number;
      tokensPerSecond: number;
      secondsLeft: number;
      /** Of training so far, those before a resumed run's checkpoint counted, pauses left out. */
      seconds: number;
      /** Resident memory of the engine process, as of a second ago at most. */
      memoryBytes: number;
      /** Over steps without an evaluation so far; null before the first. */
      flopsPerSecond: number | null;
      values: Record<string, number>;
    }
  | ToldEvent
  | CheckpointEvent
  /** Before `start`: the checkpoint a resumed run goes on from, and what was told up to it since the last that main was known to have. */
  | { type: 'found'; checkpoint: Omit<CheckpointEvent, 'type'>; told: ToldEvent[] }
  | { type: 'note'; text: string }
  | {
      type: 'token';
      index: number;
      /** What the token added to the text: '' while a character is unfinished. */
      text: string;
      id: number;
      /** Under the model itself, nats. */
      logprob: number;
      /** Of the model's whole distribution there, nats. */
      entropy: number;
      alternatives: { id: number; text: string; probability: number; sampledProbability: number }[];
    }
  | { type: 'completion'; index: number; text: string; ids: number[]; logprobs: number[]; finishReason: FinishReason; /** all that a beam search found, best first */ beams?: BeamText[]; /** where something was asked of it */ validity?: Validity; /** where there were tools: those it calls, and its text without them */ called?: { text: string; calls: { name: string; arguments: Record<string, unknown> }[] } }
  | { type: 'looked'; trace: LookedTrace }
  | { type: 'read'; read: ReadText }
  /** A chat's prompt that cannot be answered, or looked at; the model stays loaded. */
  | { type: 'refused'; message: string }
  /** What a step of a served model brought, in order. */
  | { type: 'served'; events: ServedEvent[] }
  /** Of the n-th row, from 0: a score an answer, or a label. */
  | { type: 'scored'; index: number; scores: number[] }
  /** Things done so far: an export's tensors, a parity check's prompts. `already`: of them, how many were done before this process. */
  | { type: 'count'; done: number; total: number; already?: number }
  /** One for each `render` message; `error` is why the row cannot be shown, else null. */
  | { type: 'rendered'; id: number; shown: ShownExample[]; error: string | null }
  | { type: 'result'; value: unknown }
  | { type: 'paused' } | { type: 'resumed' }
  | { type: 'done'; stopped: boolean; peakMemoryBytes: number }
  | { type: 'error'; message: string; /** a constraint has a mistake, or what it asks for cannot be enforced */ refused?: boolean };
