/**
 * The playground: conversations with one to four checkpoints in columns, streamed together, kept in the library. In a blind session
 * main shuffles the columns of every turn and says no name before the vote. Where answers are ranked, a prompt gets two to nine of them, blind too,
 * and names come when the order is saved.
 */
import { eventIterator, oc, type } from '@orpc/contract';
import { z } from 'zod';
import type { LookedTrace, ReadText } from '../job.ts';
import { Constraint, type ConstraintProblem, type Validity } from '../constraint.ts';
import { type Example, Examples, PromptTemplate, TemplateText } from '../prompt-template.ts';
import { type FinishReason, Sampling } from '../sampling.ts';
import { answers } from './answers.ts';

/**
 * One generated token. `text` is what it added to the answer ('' while a character is unfinished): all together are the answer's text.
 * `alternatives`: what else could have stood there and the token itself, most likely first, the model's own probabilities (before
 * temperature and filters) beside those it was drawn from.
 */
export type GeneratedToken = { id: number; text: string; logprob: number; /** of the model's whole distribution there, nats; tokens kept before it was told have none */ entropy?: number; alternatives: { id: number; text: string; probability: number; sampledProbability: number }[] };

export type Answer = {
  /** null in a blind session until the turn is voted on. */
  model: string | null;
  text: string;
  tokens: GeneratedToken[];
  state: 'waiting' | 'streaming' | 'done' | 'stopped' | 'failed';
  finishReason: FinishReason | null;
  tokensPerSecond: number | null;
  error: string | null;
  /** Whether it is what was asked for; null where nothing was. */
  validity: Validity | null;
};

export type Vote = { /** column of the better one; null: a tie */ best: number | null; /** 1 to 7 per column, null where none was given */ ratings: (number | null)[] };

/** `order`: columns, best first. `savedTo`: the dataset that has it. */
export type Ranking = { order: number[]; savedTo: string | null };

export type Turn = { prompt: string; answers: Answer[]; vote: Vote | null; /** null where answers are not ranked */ ranking: Ranking | null };

export type Session = {
  id: number;
  title: string;
  /** Models in columns; in a blind session the order here says nothing of the order in a turn. */
  models: string[];
  blind: boolean;
  /** So many a prompt, to be ranked; null: one a model. */
  answersToRank: number | null;
  /** The next prompt goes with the turns before it; false: each prompt is asked by itself. */
  history: boolean;
  system: string;
  /** Shown to the models before the conversation, after the system prompt. */
  examples: Example[];
  /** What the next prompts are made of: text with `{{name}}`; '' where they are written whole. */
  template: string;
  sampling: Sampling;
  /** What the next answers must be; null: anything. */
  constraint: Constraint | null;
  turns: Turn[];
  /** Per column: what its engine is doing. */
  engines: { model: string; state: 'off' | 'loading' | 'ready' | 'busy' | 'failed'; error: string | null }[];
  createdAt: string;
};

export type SessionSummary = Pick<Session, 'id' | 'title' | 'models' | 'blind' | 'answersToRank' | 'createdAt'> & { turns: number };

/** `session` first, and whenever anything but a token changed; tokens of all columns in between, in order. */
export type PlaygroundEvent = { type: 'session'; session: Session } | { type: 'tokens'; turn: number; tokens: { column: number; token: GeneratedToken; text: string }[] };

/** a against b over all votes that had both. */
export type Score = { a: string; b: string; wins: number; ties: number; losses: number; /** of wins + ties/2 over all: estimate and 95 % interval */ winRate: number; low: number; high: number; ratingA: number | null; ratingB: number | null };

export type VoteRecord = { id: number; prompt: string; models: string[]; answers: string[]; best: string | null; ratings: (number | null)[]; blind: boolean; at: string };

/** What each filter makes of a place: see LookedTrace. */
export type Look = LookedTrace;
/** A prompt and an answer as one model finds them, token by token. */
export type ReadColumn = ReadText & { model: string };

/** Sampling settings, and what answers must be, kept by a name for a model. */
export type Preset = { model: string; name: string; sampling: Sampling; /** null: anything */ constraint: Constraint | null };

const session = z.strictObject({ id: z.int() });
const place = { id: z.int(), turn: z.int().min(0), column: z.int().min(0) };
const Columns = z.array(z.string()).min(1).max(4);

export const playground = {
  list: answers<SessionSummary[]>(),
  create: oc.input(z.strictObject({ models: Columns, blind: z.boolean().default(false), answersToRank: z.int().min(2).max(9).optional(), history: z.boolean().optional(), sampling: Sampling.partial().optional() })).output(type<{ id: number }>()),
  watch: oc.input(session).output(eventIterator(type<PlaygroundEvent>())),
  configure: oc
    .input(z.strictObject({ id: z.int(), title: z.string().max(100).optional(), models: Columns.optional(), blind: z.boolean().optional(), history: z.boolean().optional(), system: z.string().optional(), examples: Examples.optional(), template: TemplateText.optional(), sampling: Sampling.optional(), constraint: Constraint.nullable().optional() }))
    .output(type<void>()),
  /** Whether it can be enforced for a model; null: it can. */
  checkConstraint: oc.input(z.strictObject({ model: z.string(), constraint: Constraint })).output(type<ConstraintProblem | null>()),
  remove: oc.input(session).output(type<void>()),
  send: oc.input(z.strictObject({ id: z.int(), text: z.string().min(1) })).output(type<void>()),
  /** The conversation goes on from this turn with another text; what came after is dropped. */
  resend: oc.input(z.strictObject({ id: z.int(), turn: z.int().min(0), text: z.string().min(1) })).output(type<void>()),
  /** All columns; what was written so far stays. */
  stop: oc.input(session).output(type<void>()),
  /** Voting again replaces the vote. */
  vote: oc.input(z.strictObject({ id: z.int(), turn: z.int().min(0), best: z.int().min(0).max(3).nullable(), ratings: z.array(z.int().min(1).max(7).nullable()).max(4) })).output(type<void>()),
  /** The prompt (with the conversation so far), a good and a bad answer, by column or as edited, as a row of a preference dataset (made when new). */
  savePair: oc
    .input(z.strictObject({ id: z.int(), turn: z.int().min(0), chosen: z.union([z.int(), z.string()]), rejected: z.union([z.int(), z.string()]), dataset: z.string().min(1).max(100) }))
    .output(type<{ dataset: string; rows: number }>()),
  /** The order of a turn's answers as it stands: columns, best first. */
  rank: oc.input(z.strictObject({ id: z.int(), turn: z.int().min(0), order: z.array(z.int().min(0)).max(9) })).output(type<void>()),
  /** The prompt and its answers in order as a row of a dataset of rankings (made when new). Failed, empty and repeated answers are left out. */
  saveRanking: oc
    .input(z.strictObject({ id: z.int(), turn: z.int().min(0), dataset: z.string().min(1).max(100) }))
    .output(type<{ dataset: string; responses: number; rows: number }>()),
  /** What each filter, as they are set now, makes of the place of a token. */
  look: oc.input(z.strictObject({ ...place, index: z.int().min(0) })).output(type<Look>()),
  /** The prompt and the answer token by token, as the model that wrote it finds them, and another one where it is named. */
  read: oc.input(z.strictObject({ ...place, against: z.string().optional() })).output(type<ReadColumn[]>()),
  /** A new conversation with the answer as it was beside one that goes on from another token of those told there. */
  branch: oc.input(z.strictObject({ ...place, index: z.int().min(0), token: z.int().min(0) })).output(type<{ id: number }>()),
  presets: oc.input(z.strictObject({ models: z.array(z.string()) })).output(type<Preset[]>()),
  /** For each of the models; one of the same name is replaced. */
  savePreset: oc.input(z.strictObject({ models: Columns, name: z.string().trim().min(1).max(60), sampling: Sampling, constraint: Constraint.nullable() })).output(type<void>()),
  removePreset: oc.input(z.strictObject({ models: Columns, name: z.string() })).output(type<void>()),
  templates: answers<PromptTemplate[]>(),
  /** One of the same name is replaced. */
  saveTemplate: oc.input(PromptTemplate).output(type<void>()),
  removeTemplate: oc.input(z.strictObject({ name: z.string() })).output(type<void>()),
  /** Takes the saved row back; the order stays, and names stay known. */
  undoRanking: oc.input(z.strictObject({ id: z.int(), turn: z.int().min(0) })).output(type<void>()),
};

export const votes = {
  scores: answers<Score[]>(),
  list: oc.input(z.strictObject({ count: z.int().min(1).max(1000) })).output(type<VoteRecord[]>()),
};
