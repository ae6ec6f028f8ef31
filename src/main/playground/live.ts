/**
 * The playground while it lives: sessions in use with what streams into them at this moment. Main holds the truth, windows watch it; what is
 * written here outlives them in db/sessions.ts. Not here: processes (engines.ts), who hears what when (audience.ts), what a blind turn
 * hides (shown-session.ts), votes (votes.ts), pairs (pairs.ts), and how ranked answers are asked for and saved (rankings.ts).
 */
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { GeneratedToken, PlaygroundEvent, Session, SessionSummary, Vote } from '../../shared/api/playground.ts';
import type { Constraint } from '../../shared/constraint.ts';
import type { Example } from '../../shared/prompt-template.ts';
import { Sampling } from '../../shared/sampling.ts';
import type { Changes } from '../changes.ts';
import {
  type AnswerRow, deleteSession, deleteTurnsFrom, getSession, insertSession, listSessions, putTurn, type RankingRow, type SessionRow, type TurnRow,
  updateAnswer, updateSession, updateTurn,
} from '../db/sessions.ts';
import { getVote, type VoteRow } from '../db/votes.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { readSettings } from '../settings.ts';
import { UserError } from '../user-error.ts';
import { type Audience, createAudience } from './audience.ts';
import { historyOf } from './conversation.ts';
import { type ChatEngines, type ChatModel, createChatEngines, type TokenEvent } from './engines.ts';
import { planAnswers } from './rankings.ts';
import { type EngineOf, isHidden, showSession } from './shown-session.ts';

/** A streaming answer is stored this often, ms, for the case that main is killed. */
const KEEP_EVERY = 2000;
const TITLE_LENGTH = 60;
/** Likeliest tokens told at each place. */
const ALTERNATIVES = 10;
/** Tokens come in bursts: of fewer than these a speed says nothing. */
const FEWEST_TIMED = 8;

type Configuration = { title?: string; models?: string[]; blind?: boolean; history?: boolean; system?: string; examples?: Example[]; template?: string; sampling?: Sampling; constraint?: Constraint | null };

export type Playground = {
  list(): SessionSummary[];
  create(options: { models: string[]; blind: boolean; answersToRank?: number; /** true when not said */ history?: boolean; sampling?: Partial<Sampling> }): number;
  watch(id: number, signal?: AbortSignal): AsyncGenerator<PlaygroundEvent, void, void>;
  /** Holds from the next turn on. */
  configure(id: number, configuration: Configuration): void;
  remove(id: number): void;
  /** Returns when the turn is stored; the answers stream. */
  send(id: number, text: string): void;
  resend(id: number, turn: number, text: string): void;
  stop(id: number): void;
  /** A new session: the conversation up to a turn with this answer twice, the second going on from another token at a place. Returns its id. */
  branch(id: number, place: { turn: number; column: number; index: number; token: number }): number;
  /** The turn as it is stored, models' names and all. Throws while it still streams. */
  endedTurn(id: number, turn: number): { session: SessionRow; turn: TurnRow };
  setVote(id: number, turn: number, voteId: number): void;
  /** Does nothing where the turn is gone. */
  setRanking(id: number, turn: number, ranking: RankingRow): void;
  /** Resolves when nothing streams in the session. */
  ended(id: number): Promise<void>;
  engines: ChatEngines;
  close(): Promise<void>;
};

type Live = { row: SessionRow; audience: Audience; streaming: { controller: AbortController; ended: Promise<void> } | null };

export function createPlayground(library: Library, changes: Changes): Playground {
  const { db } = library;
  const sessions = new Map<number, Live>();
  const engines = createChatEngines(() => readSettings(library).device, () => {
    for (const live of sessions.values()) live.audience.changed();
  });
  /** Models that could not be found when last asked for, with the sentence. */
  const missing = new Map<string, string>();

  function find(name: string): ChatModel {
    try {
      const { path, template } = resolveModel(library, name);
      missing.delete(name);
      return { path, template };
    } catch (error) {
      missing.set(name, (error as Error).message);
      throw error;
    }
  }
  const models = new Map<string, ChatModel>(); // as last found, so that a snapshot need not look at the disk
  const engineOf: EngineOf = (name) => {
    const error = missing.get(name);
    if (error !== undefined) return { state: 'failed', error };
    const model = models.get(name);
    return model ? engines.state(model) : { state: 'off', error: null };
  };
  const votes = new Map<number, Vote>();
  const voteOf = (id: number): Vote | null => {
    const vote = votes.get(id) ?? shownVote(getVote(db, id));
    if (vote) votes.set(id, vote);
    return vote;
  };

  function open(id: number): Live {
    const known = sessions.get(id);
    if (known) return known;
    const row = getSession(db, id);
    if (!row) throw new UserError('this conversation is not in the library any more');
    // what a killed process left in the middle
    for (const { answers } of row.turns) for (const answer of answers) if (answer.state === 'waiting' || answer.state === 'streaming') answer.state = 'stopped';
    const live: Live = { row, audience: createAudience((): Session => showSession(row, engineOf, voteOf)), streaming: null };
    sessions.set(id, live);
    return live;
  }
  /** A session that nobody looks at and nothing streams into need not be in memory. */
  function release(live: Live): void {
    if (live.streaming || live.audience.size() > 0) return;
    sessions.delete(live.row.id);
  }

  async function* watchLive(live: Live, signal?: AbortSignal): AsyncGenerator<PlaygroundEvent, void, void> {
    try {
      yield* live.audience.watch(signal);
    } finally {
      release(live);
    }
  }

  function begin(live: Live, text: string): void {
    const { row } = live;
    const position = row.turns.length;
    const asked = planAnswers(row);
    const blind = row.blind && asked.length > 1;
    if (blind) shuffle(asked);
    const answers = asked.map(({ slot }): AnswerRow => ({
      slot, model: row.models[slot], text: '', tokens: [], state: 'waiting', finishReason: null, tokensPerSecond: null, error: null, validity: null,
    }));
    const ranking = row.answersToRank === null ? null : { order: answers.map((_, column) => column), saved: null, told: false };
    const turn: TurnRow = { prompt: text, blind, history: row.history, voteId: null, ranking, answers };
    row.turns.push(turn);
    putTurn(db, row.id, position, turn);
    if (row.title === '') {
      row.title = titleOf(text);
      updateSession(db, row);
    }
    const controller = new AbortController();
    const threads = Math.max(1, Math.floor(availableParallelism() / new Set(row.models).size));
    const ended = Promise.all(asked.map(({ sampling }, column) => stream(live, position, column, { threads, sampling, signal: controller.signal }))).then(() => settle(live));
    live.streaming = { controller, ended };
    live.audience.changed();
    changes.tell('playground');
  }

  /** A new session with the turns before as one column had them, and the turn with its answer as it was beside the one to come. */
  function copyForBranch({ row, turn, column, index }: { row: SessionRow; turn: number; column: number; index: number }, text: string): Live {
    const { prompt, history, answers } = row.turns[turn];
    const answer = answers[column];
    const id = insertSession(db, { models: [answer.model, answer.model], blind: false, answersToRank: null, history: row.history, sampling: row.sampling, constraint: row.constraint });
    const twice = (one: AnswerRow): AnswerRow[] => [{ ...one, slot: 0 }, { ...one, slot: 1 }];
    const plain = { blind: false, voteId: null, ranking: null };
    for (const [position, before] of row.turns.slice(0, turn).entries()) {
      putTurn(db, id, position, { ...before, ...plain, answers: before.answers.filter(({ slot }) => slot === answer.slot).flatMap(twice) });
    }
    const [original, branch] = twice(answer);
    const begun: AnswerRow = { ...branch, ...wholeText(answer.tokens.slice(0, index)), state: 'waiting', finishReason: null, tokensPerSecond: null, validity: null };
    putTurn(db, id, turn, { prompt, history, ...plain, answers: [original, begun] });
    const live = open(id);
    live.row.turns[turn].answers[1].state = 'waiting';
    Object.assign(live.row, { title: titleOf(`${row.title} → ${text}`), system: row.system, examples: row.examples, template: row.template });
    updateSession(db, live.row);
    return live;
  }

  /** Everything that streamed into it has ended. */
  function settle(live: Live): void {
    live.streaming = null;
    live.audience.changed();
    changes.tell('playground');
    release(live);
  }

  /** One column's answer, from waiting to its end. Never throws: a failure is the column's own. */
  async function stream(live: Live, position: number, column: number, { threads, sampling, signal, begins }: { threads: number; sampling: Sampling; signal: AbortSignal; begins?: number[] }): Promise<void> {
    const { row, audience } = live;
    const { prompt, answers } = row.turns[position];
    const answer = answers[column];
    let first = 0;
    let last = 0;
    let kept = performance.now();
    const onToken = (event: TokenEvent): void => {
      last = performance.now();
      if (answer.state === 'waiting') {
        first = last;
        answer.state = 'streaming';
        audience.changed();
      }
      const token = toToken(event);
      answer.tokens.push(token);
      answer.text += token.text;
      audience.token(position, column, token);
      if (last - kept < KEEP_EVERY) return;
      kept = last;
      updateAnswer(db, row.id, position, column, answer);
    };
    try {
      const model = find(answer.model);
      models.set(answer.model, model);
      audience.changed();
      const messages = [...historyOf(row, position, answer.slot), { role: 'user' as const, content: prompt }];
      const ended = await engines.ask({ model, threads, signal, onToken, command: { type: 'chat', messages, sampling, constraint: row.constraint ?? undefined, alternatives: ALTERNATIVES, begins } });
      answer.finishReason = ended?.type === 'completion' ? ended.finishReason : 'cancelled';
      answer.validity = (ended?.type === 'completion' ? ended.validity : undefined) ?? null;
      answer.state = answer.finishReason === 'cancelled' ? 'stopped' : 'done';
    } catch (error) {
      answer.state = 'failed';
      answer.error = (error as Error).message;
    }
    if (answer.tokens.length >= FEWEST_TIMED) answer.tokensPerSecond = ((answer.tokens.length - 1) / (last - first)) * 1000;
    updateAnswer(db, row.id, position, column, answer);
    audience.changed();
  }

  function refuseWhileStreaming(live: Live): void {
    if (live.streaming) throw new UserError('the models are still answering: stop them, or wait for the end');
  }

  return {
    list: () => listSessions(db),
    create({ models: names, blind, answersToRank = null, history, sampling }) {
      for (const name of names) find(name);
      const id = insertSession(db, { models: names, blind: blind || answersToRank !== null, answersToRank, history: answersToRank === null && (history ?? true), sampling: Sampling.parse(sampling ?? {}), constraint: null });
      changes.tell('playground');
      return id;
    },
    // opened at once: that a conversation is gone is the answer of the call, not an error in the middle of a stream
    watch: (id, signal) => watchLive(open(id), signal),
    configure(id, { title, models: names, blind, history, system, examples, template, sampling, constraint }) {
      const live = open(id);
      const { row } = live;
      for (const name of names ?? []) if (!row.models.includes(name)) find(name);
      Object.assign(row, {
        title: title ?? row.title, models: names ?? row.models, blind: blind ?? row.blind,
        // of several answers by one model, which would it have given?
        history: row.answersToRank === null && (history ?? row.history),
        system: system ?? row.system, examples: examples ?? row.examples, template: template ?? row.template, sampling: sampling ?? row.sampling, constraint: constraint === undefined ? row.constraint : constraint,
      });
      updateSession(db, row);
      // who looks behind the curtain has looked: a vote on these turns is not blind any more
      if (blind === false) {
        for (const [position, turn] of row.turns.entries()) {
          if (!isHidden(turn)) continue;
          turn.blind = false;
          updateTurn(db, id, position, turn);
        }
      }
      live.audience.changed();
      changes.tell('playground');
      release(live);
    },
    remove(id) {
      const live = open(id);
      live.streaming?.controller.abort();
      live.audience.close();
      sessions.delete(id);
      deleteSession(db, id);
      changes.tell('playground');
    },
    send(id, text) {
      const live = open(id);
      refuseWhileStreaming(live);
      begin(live, text);
    },
    resend(id, turn, text) {
      const live = open(id);
      refuseWhileStreaming(live);
      if (turn >= live.row.turns.length) throw new UserError('this turn is not in the conversation any more');
      live.row.turns.length = turn;
      deleteTurnsFrom(db, id, turn);
      begin(live, text);
    },
    stop(id) {
      open(id).streaming?.controller.abort();
    },
    branch(id, { turn: position, column, index, token }) {
      const { session: row, turn } = this.endedTurn(id, position);
      if (isHidden(turn)) throw new UserError('this turn is blind: vote first, then its answers can be gone on from');
      const answer = turn.answers[column];
      const other = answer?.tokens[index]?.alternatives.find((alternative) => alternative.id === token);
      if (!other) throw new UserError('this token is not among those that were told for this place');
      const live = copyForBranch({ row, turn: position, column, index }, other.text);
      const begins = [...answer.tokens.slice(0, index).map((before) => before.id), token];
      const controller = new AbortController();
      const ended = stream(live, position, 1, { threads: availableParallelism(), sampling: row.sampling, signal: controller.signal, begins }).then(() => settle(live));
      live.streaming = { controller, ended };
      changes.tell('playground');
      return live.row.id;
    },
    endedTurn(id, turn) {
      const live = open(id);
      const { row } = live;
      if (!row.turns[turn]) throw new UserError('this turn is not in the conversation any more');
      if (turn === row.turns.length - 1) refuseWhileStreaming(live);
      release(live);
      return { session: row, turn: row.turns[turn] };
    },
    setVote(id, position, voteId) {
      const live = open(id);
      const turn = live.row.turns[position];
      turn.voteId = voteId;
      votes.delete(voteId);
      updateTurn(db, id, position, turn);
      live.audience.changed();
      release(live);
    },
    setRanking(id, position, ranking) {
      const live = open(id);
      const turn = live.row.turns[position];
      if (!turn) return;
      turn.ranking = ranking;
      updateTurn(db, id, position, turn);
      live.audience.changed();
      release(live);
    },
    async ended(id) {
      await sessions.get(id)?.streaming?.ended;
    },
    engines,
    async close() {
      for (const { streaming } of sessions.values()) streaming?.controller.abort();
      await Promise.race([Promise.all([...sessions.values()].map(({ streaming }) => streaming?.ended)), new Promise((done) => setTimeout(done, 2000).unref())]);
      await engines.close();
      await Promise.all([...sessions.values()].map(({ streaming }) => streaming?.ended));
      for (const { audience } of sessions.values()) audience.close();
    },
  };
}

function toToken({ id, text, logprob, entropy, alternatives }: TokenEvent): GeneratedToken {
  const round = (x: number): number => Number(x.toPrecision(5)); // enough for people, and half the bytes
  return {
    id, text, logprob, entropy: round(entropy),
    alternatives: alternatives.map((other) => ({ ...other, probability: round(other.probability), sampledProbability: round(other.sampledProbability) })),
  };
}

function wholeText(tokens: GeneratedToken[]): Pick<AnswerRow, 'tokens' | 'text'> {
  return { tokens, text: tokens.map(({ text }) => text).join('') };
}

function shownVote(vote: VoteRow | undefined): Vote | null {
  return vote ? { best: vote.best, ratings: vote.ratings } : null;
}

function titleOf(text: string): string {
  const line = text.trim().split('\n')[0].replace(/\s+/g, ' ');
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH - 1).trimEnd()}…` : line;
}

/** Fisher–Yates with the system's randomness: nobody can guess a blind order. */
function shuffle(columns: unknown[]): void {
  for (let i = columns.length - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    [columns[i], columns[j]] = [columns[j], columns[i]];
  }
}
