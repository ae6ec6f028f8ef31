/**
 * Judging answers, half made until it is sent: ratings before a vote, and which answer is the good and which the bad one before the pair is saved.
 * A pair can also take a text that is no answer of the turn: one written by hand, or an earlier try. What is sent is main's.
 */
import type { Conversation } from './conversation.svelte.ts';
import { chooseTargetDataset, targetDataset } from './target-dataset.svelte.ts';
import { formatCount } from '../../format.ts';
import * as m from '../../paraglide/messages.js';
import { attempt, notify } from '../../state/prompts.svelte.ts';
import { go } from '../../state/route.svelte.ts';
import { api } from '../../state/workbench.svelte.ts';

/** An answer by its column, or a text. */
export type Candidate = number | string;
export type Picks = { good: Candidate | null; bad: Candidate | null };

const NONE: Picks = { good: null, bad: null };

export class Judging {
  readonly #conversation: Conversation;
  #busy = false;
  #picks = $state.raw<Record<number, Picks>>({});
  #ratings = $state.raw<Record<number, (number | null)[]>>({});
  /** Of a single column: answers to the same prompt that another try replaced, newest first. */
  #earlier = $state.raw<Record<number, { prompt: string; texts: string[] }>>({});
  #saved = $state.raw<Record<number, { pair: string; dataset: string }>>({});

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  picks(turn: number): Picks {
    return this.#picks[turn] ?? NONE;
  }

  /** Marks a candidate, or takes the mark away when it has it. One cannot be both. */
  pick(turn: number, side: keyof Picks, candidate: Candidate): void {
    const picks = this.picks(turn);
    const other = side === 'good' ? 'bad' : 'good';
    const next = picks[side] === candidate ? null : candidate;
    this.#picks = { ...this.#picks, [turn]: { ...picks, [side]: next, [other]: picks[other] === candidate ? null : picks[other] } };
  }

  /** A better text for an answer: the pair is then whole. */
  pickEdited(turn: number, column: number, text: string): void {
    this.#picks = { ...this.#picks, [turn]: { good: text, bad: column } };
  }

  /** What `p` would save: both picked, or one of two, or the vote on two. */
  pair(turn: number): { chosen: Candidate; rejected: Candidate } | null {
    const { good, bad } = this.picks(turn);
    if (good !== null && bad !== null) return { chosen: good, rejected: bad };
    const live = this.#conversation.turns[turn];
    if (!live?.atRest || live.answers.length !== 2) return null;
    if (typeof good === 'number') return { chosen: good, rejected: 1 - good };
    if (typeof bad === 'number') return { chosen: 1 - bad, rejected: bad };
    if (good === null && bad === null && live.vote?.best != null) return { chosen: live.vote.best, rejected: 1 - live.vote.best };
    return null;
  }

  /** Dataset the pair as it stands was saved to, or null. */
  savedTo(turn: number): string | null {
    const saved = this.#saved[turn];
    return saved && saved.pair === JSON.stringify([this.pair(turn), this.#conversation.turns[turn]?.prompt]) ? saved.dataset : null;
  }

  async savePair(turn: number): Promise<void> {
    const pair = this.pair(turn);
    if (!pair) return notify('info', m.playground_pair_missing());
    const dataset = targetDataset('preferences') ?? (await chooseTargetDataset('preferences'));
    if (!dataset) return;
    const key = JSON.stringify([pair, this.#conversation.turns[turn]?.prompt]);
    const saved = await attempt(() => api.playground.savePair({ id: this.#conversation.id, turn, ...pair, dataset }));
    if (!saved) return;
    this.#saved = { ...this.#saved, [turn]: { pair: key, dataset: saved.dataset } };
    notify('good', m.playground_pair_saved({ dataset: saved.dataset, rows: formatCount(saved.rows) }), {
      label: m.playground_pair_open(),
      run: () => go('datasets', [saved.dataset]),
    });
  }

  rank(turn: number, order: number[]): Promise<boolean> {
    return this.#conversation.rank(turn, order);
  }

  /** Once, however often the key is pressed. */
  async saveRanking(turn: number): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const dataset = targetDataset('rankings') ?? (await chooseTargetDataset('rankings'));
    const saved = dataset ? await attempt(() => api.playground.saveRanking({ id: this.#conversation.id, turn, dataset })) : undefined;
    this.#busy = false;
    if (!saved) return;
    notify('good', m.playground_rank_saved({ dataset: saved.dataset, answers: formatCount(saved.responses), rows: formatCount(saved.rows) }), {
      label: m.playground_rank_undo(),
      run: () => void this.undoRanking(turn),
    });
  }

  async undoRanking(turn: number): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    await attempt(() => api.playground.undoRanking({ id: this.#conversation.id, turn }));
    this.#busy = false;
  }

  ratings(turn: number): (number | null)[] {
    const live = this.#conversation.turns[turn];
    return this.#ratings[turn] ?? live?.vote?.ratings ?? live?.answers.map(() => null) ?? [];
  }

  /** After a vote a rating is sent at once; before, it waits for the vote. */
  rate(turn: number, column: number, rating: number): void {
    const ratings = this.ratings(turn).with(column, rating);
    this.#ratings = { ...this.#ratings, [turn]: ratings };
    const vote = this.#conversation.turns[turn]?.vote;
    if (vote) void this.#conversation.vote(turn, vote.best, ratings);
  }

  /** `best` null: a tie. */
  async vote(turn: number, best: number | null): Promise<boolean> {
    return this.#conversation.vote(turn, best, this.ratings(turn));
  }

  earlier(turn: number): string[] {
    const kept = this.#earlier[turn];
    return kept && kept.prompt === this.#conversation.turns[turn]?.prompt ? kept.texts : [];
  }

  /** Before a turn is asked again: what was marked there is no more; a single answer is kept as an earlier one. */
  beforeResend(turn: number): void {
    const live = this.#conversation.turns[turn];
    const [answer] = live?.answers ?? [];
    if (live?.answers.length === 1 && answer.text !== '') {
      const texts = [answer.text, ...this.earlier(turn).filter((text) => text !== answer.text)];
      this.#earlier = { ...this.#earlier, [turn]: { prompt: live.prompt, texts } };
    }
    const before = <T>(record: Record<number, T>): Record<number, T> => Object.fromEntries(Object.entries(record).filter(([at]) => Number(at) < turn));
    this.#picks = before(this.#picks);
    this.#ratings = before(this.#ratings);
  }
}
