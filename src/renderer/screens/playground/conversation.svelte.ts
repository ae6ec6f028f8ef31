/**
 * One conversation as main streams it: whole at first and after every change, tokens in between. Only what streams is drawn anew: an answer is
 * blocks of tokens, and a token touches the last block alone. It keeps nothing that main does not have.
 */
import type { Answer, GeneratedToken, PlaygroundEvent, Ranking, Session, Vote } from '../../../shared/api/playground.ts';
import type { Sampling } from '../../../shared/sampling.ts';
import { attempt } from '../../state/prompts.svelte.ts';
import { api, stream } from '../../state/workbench.svelte.ts';
import { markDifferences } from '../../word-diff.ts';

/** Tokens in a block: few enough to draw within a frame, many enough that a long answer is a few dozen blocks. */
const BLOCK = 64;

export class TokenRun {
  tokens = $state.raw<GeneratedToken[]>([]);
  /** Number of its first token in the answer, and of its first character. */
  readonly firstToken: number;
  readonly firstCharacter: number;
  constructor(firstToken: number, firstCharacter: number) {
    this.firstToken = firstToken;
    this.firstCharacter = firstCharacter;
  }
}

export class LiveAnswer {
  model = $state<string | null>(null);
  text = $state('');
  blocks = $state.raw<TokenRun[]>([]);
  tokenCount = $state(0);
  state = $state<Answer['state']>('waiting');
  finishReason = $state<Answer['finishReason']>(null);
  tokensPerSecond = $state<number | null>(null);
  error = $state<string | null>(null);
  validity = $state.raw<Answer['validity']>(null);
  readonly atRest = $derived(this.state !== 'waiting' && this.state !== 'streaming');

  /** Takes main's answer; tokens that are here already stay as they are drawn. */
  take(answer: Answer): void {
    if (!this.#continues(answer)) {
      this.blocks = [];
      this.tokenCount = 0;
      this.text = '';
    }
    this.append(answer.tokens.slice(this.tokenCount));
    this.text = answer.text;
    this.model = answer.model;
    this.state = answer.state;
    this.finishReason = answer.finishReason;
    this.tokensPerSecond = answer.tokensPerSecond;
    this.error = answer.error;
    this.validity = answer.validity;
  }

  append(tokens: GeneratedToken[]): void {
    if (tokens.length === 0) return;
    const blocks = [...this.blocks];
    let text = this.text;
    for (let rest = tokens; rest.length > 0; ) {
      let last = blocks.at(-1);
      if (!last || last.tokens.length >= BLOCK) blocks.push((last = new TokenRun(this.tokenCount, text.length)));
      const fitting = rest.slice(0, BLOCK - last.tokens.length);
      last.tokens = [...last.tokens, ...fitting];
      this.tokenCount += fitting.length;
      for (const token of fitting) text += token.text;
      rest = rest.slice(fitting.length);
    }
    this.text = text;
    if (blocks.length !== this.blocks.length) this.blocks = blocks;
    if (this.state === 'waiting') this.state = 'streaming';
  }

  token(index: number): GeneratedToken | undefined {
    return this.blocks[Math.floor(index / BLOCK)]?.tokens[index % BLOCK];
  }

  /** The first and the last token here are main's too: no two answers of one place are the same there by chance and differ between. */
  #continues({ tokens }: Answer): boolean {
    if (tokens.length < this.tokenCount || this.tokenCount === 0) return this.tokenCount === 0;
    const same = (index: number): boolean => this.token(index)?.id === tokens[index].id && this.token(index)?.logprob === tokens[index].logprob;
    return same(0) && same(this.tokenCount - 1);
  }
}

export class LiveTurn {
  prompt = $state('');
  answers = $state.raw<LiveAnswer[]>([]);
  vote = $state.raw<Vote | null>(null);
  ranking = $state.raw<Ranking | null>(null);
  /** Orders that main has not answered yet: until then what it tells is older than what is shown. */
  ordering = 0;
  readonly atRest = $derived(this.answers.every(({ atRest }) => atRest));
  /** A blind turn before its vote, or its saved ranking. */
  readonly hidden = $derived(this.answers.some(({ model }) => model === null));
  /** Where each answer differs; while one is being written nothing is marked. */
  readonly differences = $derived(this.atRest ? markDifferences(this.answers.map(({ text }) => text)) : this.answers.map(() => null));
}

export class Conversation {
  /** All but its turns. Null until main has answered. */
  session = $state.raw<Omit<Session, 'turns'> | null>(null);
  turns = $state.raw<LiveTurn[]>([]);
  /** Main's sentence, when there is no such conversation. */
  error = $state<string | null>(null);
  readonly id: number;
  /** Sent to main and not told back yet: settings changed one soon after another must not take each other back. */
  #sampling: Partial<Sampling> = {};
  #configuring = 0;
  readonly streaming = $derived(this.turns.some(({ atRest }) => !atRest));
  /** Ends the stream. */
  readonly close: () => void;

  constructor(id: number) {
    this.id = id;
    this.close = stream(
      (signal) => api.playground.watch({ id }, { signal }),
      (event) => this.#receive(event),
      (message) => (this.error = message),
    );
  }

  #receive(event: PlaygroundEvent): void {
    if (event.type === 'tokens') {
      const answers = this.turns[event.turn]?.answers;
      const columns = Map.groupBy(event.tokens, ({ column }) => column);
      for (const [column, tokens] of columns) answers?.[column]?.append(tokens.map(({ token }) => token));
      return;
    }
    const { turns, ...session } = event.session;
    this.session = session;
    if (this.#configuring === 0) this.#sampling = {};
    for (const [i, turn] of turns.entries()) {
      const live = this.turns[i] ?? new LiveTurn();
      live.prompt = turn.prompt;
      live.vote = turn.vote;
      if (live.ordering === 0) live.ranking = turn.ranking;
      if (live.answers.length !== turn.answers.length) live.answers = turn.answers.map((_, column) => live.answers[column] ?? new LiveAnswer());
      for (const [column, answer] of turn.answers.entries()) live.answers[column].take(answer);
      if (i >= this.turns.length) this.turns = [...this.turns, live];
    }
    if (turns.length < this.turns.length) this.turns = this.turns.slice(0, turns.length);
  }

  async send(text: string): Promise<boolean> {
    return (await attempt(async () => (await api.playground.send({ id: this.id, text }), true))) ?? false;
  }

  async resend(turn: number, text: string): Promise<boolean> {
    return (await attempt(async () => (await api.playground.resend({ id: this.id, turn, text }), true))) ?? false;
  }

  async stop(): Promise<void> {
    await attempt(() => api.playground.stop({ id: this.id }));
  }

  async vote(turn: number, best: number | null, ratings: (number | null)[]): Promise<boolean> {
    return (await attempt(async () => (await api.playground.vote({ id: this.id, turn, best, ratings }), true))) ?? false;
  }

  /** Shown at once: keys come faster than main answers. */
  async rank(turn: number, order: number[]): Promise<boolean> {
    const live = this.turns[turn];
    const before = live.ranking;
    if (before) live.ranking = { ...before, order };
    live.ordering++;
    const done = await attempt(async () => (await api.playground.rank({ id: this.id, turn, order }), true));
    live.ordering--;
    if (!done) live.ranking = before;
    return done ?? false;
  }

  /** `sampling`: the settings that change. */
  async configure(changes: Partial<Pick<Session, 'title' | 'models' | 'blind' | 'history' | 'system' | 'examples' | 'template' | 'constraint'>> & { sampling?: Partial<Sampling> }): Promise<boolean> {
    const { sampling, ...others } = changes;
    this.#sampling = { ...this.#sampling, ...sampling };
    const whole = sampling && this.session ? { sampling: { ...this.session.sampling, ...this.#sampling } } : {};
    this.#configuring++;
    const done = await attempt(async () => (await api.playground.configure({ id: this.id, ...others, ...whole }), true));
    this.#configuring--;
    return done ?? false;
  }
}
