/** What jobs (job.ts) answer: the values of their `result` events. Types alone, since both sides are ours: what crosses down is checked there. */
import type { ConstraintProblem } from './constraint.ts';
import type { TemplateProblem } from './dataset.ts';
import type { About } from './export-about.ts';
import type { Judgement } from './judging.ts';
import type { RunReport } from './reports.ts';
import type { ForcedText, RowLengths } from './job.ts';

export type LogprobsResult = {
  ids: number[];
  tokens: string[];
  logprobs: (number | null)[];
  /** The other model's; KL(model ‖ other) of the whole distributions there, nats; and what each found likeliest there, the model first. */
  against?: { logprobs: (number | null)[]; kl: (number | null)[]; likeliest: ([string, string] | null)[] };
};
export type ConstraintResult = { problem: ConstraintProblem | null; /** that some whole answer takes; 0 where there is a problem */ fewestTokens: number };
export type TokenizeResult = { ids: number[]; tokens: string[] };
export type EvaluateResult = {
  instructions: { loss: number; perplexity: number; tokens: number; rows: number } | null;
  preferences: {
    /** share of pairs whose chosen answer the model itself finds likelier (sum of log-probs) */
    accuracy: number;
    /** against the reference, DPO's implicit rewards: share of pairs the chosen wins, and the mean margin; null without a reference */
    rewardAccuracy: number | null;
    margin: number | null;
    pairs: number;
    chosenLogps: number;
    rejectedLogps: number;
  } | null;
};
/** In the order of the rows; null: the pair is too long for the judge. */
export type JudgeResult = (Judgement | null)[];
/** KL(model ‖ reference) in nats, summed over an answer's tokens: the mean over the answers, and its standard error. */
export type DivergenceResult = { kl: number; standardError: number; answers: number; tokens: number };
/** `scores`: of each reward, in order; `score` is their sum by weight. */
export type TryRewardsResult = { scores: { name: string; weight: number; score: number }[]; score: number };
/** `accuracy`: of pairs, or of labels; null where rows say nothing of what is right. */
export type ScoreResult = { labels: string[]; rows: number; leftOut: number; accuracy: number | null; report: RunReport | null };
/** `notes`: what others do otherwise with it, in sentences. */
export type ExportResult = { path: string; files: { name: string; bytes: number; sha256: string }[]; notes: string[]; about: About };
/** llama.cpp on the exported file against our engine on the same file, given the same tokens. */
export type LlamaCppParity = {
  version: string;
  /** prompts of which its tokenizer makes the same tokens, of those that are bare text */
  texts: number;
  sameTexts: number;
  tokens: number;
  /** at whose place both find the same token likeliest */
  sameTokens: number;
  maxLogprobDifference: number;
};
/** Greedy answers of the exported model against the model's own. */
export type ParityResult = {
  prompts: number;
  /** answered the same token for token */
  equal: number;
  /** of the model's own answers */
  tokens: number;
  /** of them, how many the exported model finds likeliest at their place, given those before */
  sameTokens: number;
  /** nats, of those tokens */
  maxLogprobDifference: number;
  /** of any logit after any prompt; of a reward model or classifier the scores' */
  maxLogitDifference: number;
  /** what the exported model made of prompts and answers, for another program to be held against; empty where it is no GGUF */
  forced: ForcedText[];
  firstDifference: { prompt: string; model: string; exported: string } | null;
};

/** What a folder says of itself. Null: not known, or not applicable. */
export type FolderFacts = {
  /** `model_type` of config.json. */
  family: string | null;
  parameters: number | null;
  /** Those a token goes through, of a mixture of experts; null of a dense model. */
  activeParameters: number | null;
  /** Of a PEFT folder; the other fields but bytes, dtype and problem are null then. */
  adapter: { parameters: number; rank: number } | null;
  /** All files of the model or adapter in the folder. */
  bytes: number | null;
  /** Of most of the weights, as stored: F32, BF16, … */
  dtype: string | null;
  contextLength: number | null;
  vocabularySize: number | null;
  layers: number | null;
  hiddenSize: number | null;
  hasChatTemplate: boolean;
  templateProblems: TemplateProblem[];
  /** Of a classifier or, one label, a reward model; null of a language model. */
  labels: string[] | null;
  /** One sentence, when it cannot be used. */
  problem: string | null;
};

export type PlanResult = {
  parameters: number;
  /** Those a token goes through, of a mixture of experts; null of a dense model. */
  activeParameters: number | null;
  trainableParameters: number;
  /** Of the sample, those that can be trained on; to plan again without tokenising. */
  rows: RowLengths[];
  /** How many of the sample were read (time may not suffice for all), longer than maxLength, and left out because nothing of the answer remained. */
  sampled: number;
  cut: number;
  leftOut: number;
  /** Before the cut. */
  longestRow: number;
  /** Rows list tools, and the template leaves them out. */
  dropsTools: boolean;
  tokensPerEpoch: number;
  steps: number;
  /** That the model computes in all steps. */
  tokens: number;
  /** Held at once while training; of them, those that stand on the trained one's own frozen weights. */
  models: { held: number; shared: number };
  /** Bytes; `runtime` is the engine process itself. */
  memory: { weights: number; gradients: number; optimizer: number; activations: number; runtime: number };
  /** What the device has of its own, bytes; null: it takes the machine's, or does not tell. */
  deviceMemory: number | null;
  /** Of all steps and evaluations. */
  flops: number;
  /** What training reaches on this machine by a measurement of its kernels. */
  flopsPerSecond: number | null;
};
