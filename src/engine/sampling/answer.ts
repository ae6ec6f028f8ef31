/**
 * A completion as it is written: tokens drawn one after the other, the text they make, and where it ends. Not here: where a token comes from (sample.ts)
 * and what is decoded together (generate.ts).
 */
import type { FinishReason } from '../../shared/sampling.ts';
import { createDecoder } from '../tokenizer/stream.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { CompiledConstraint } from './constraint/constraint.ts';

export type Answer = {
  prompt: readonly number[];
  decoder: ReturnType<typeof createDecoder>;
  ids: number[];
  logprobs: number[];
  /** decoded so far; `emitted` characters of it have gone out, the rest could still turn into a stop string */
  text: string;
  emitted: number;
  /** Where a stop string may end the text: anywhere, or where a constrained text is whole. */
  mayEnd: MayEnd;
};

/** Whether a text may end before the character at a place, which a stop string stands at. */
export type MayEnd = (text: string, at: number) => boolean;
const ANYWHERE: MayEnd = () => true;

/** Of a constrained answer: a stop string ends it only where what stands before is whole, and is text like any other elsewhere. */
export function mayEndWhole(constraint: CompiledConstraint | null): MayEnd {
  if (!constraint) return ANYWHERE;
  const known = new Map<string, boolean>(); // every token asks again of the places before it
  return (text, at) => {
    const before = text.slice(0, at);
    if (!known.has(before)) known.set(before, constraint.validate(before).valid);
    return known.get(before)!;
  };
}

/** `begins`: tokens that stand there already; their text has gone out as far as it could, and they have no log-probs here. */
export function startAnswer(prompt: readonly number[], tokenizer: Tokenizer, constraint: CompiledConstraint | null, begins: number[] = [], stop: string[] = []): Answer {
  const decoder = createDecoder(tokenizer);
  const text = begins.map((id) => decoder.push(id)).join('');
  return { prompt, decoder, ids: [...begins], logprobs: [], text, emitted: text.length - heldBack(text, stop), mayEnd: mayEndWhole(constraint) };
}

/**
 * Adds a drawn token; returns why the completion ends there, or null. The end-of-turn token and a stop string are not part of the text.
 * `limit`: tokens it may have; `finished`: nothing may follow.
 */
export function accept(
  answer: Answer,
  id: number,
  logprob: number,
  tokenizer: Tokenizer,
  { stop, limit, cancelled, finished = false }: { stop: string[]; limit: number; cancelled: boolean; finished?: boolean },
): FinishReason | null {
  answer.ids.push(id);
  answer.logprobs.push(logprob);
  if (tokenizer.eosIds.includes(id)) {
    answer.text += answer.decoder.end();
    return 'eos';
  }
  answer.text += answer.decoder.push(id);
  const at = firstStop(answer.text, stop, answer.mayEnd);
  if (at >= 0) {
    answer.text = answer.text.slice(0, at);
    return 'stop';
  }
  const full = answer.ids.length >= limit;
  if (!full && !cancelled && !finished) return null;
  answer.text += answer.decoder.end();
  if (finished) return 'eos';
  return full ? 'length' : 'cancelled';
}

/** What can go out now: all that will not turn into a stop string. */
export function takeText(answer: Answer, ended: boolean, stop: string[]): string {
  const settled = ended ? answer.text.length : answer.text.length - heldBack(answer.text, stop);
  const text = answer.text.slice(answer.emitted, settled);
  answer.emitted = Math.max(answer.emitted, settled);
  return text;
}

/** One token as people see it by itself; SentencePiece's decoder would drop the space before a word. */
export function tokenText(id: number, tokenizer: Tokenizer): string {
  const text = tokenizer.decode([id]);
  return tokenizer.token(id).startsWith('▁') && !text.startsWith(' ') ? ` ${text}` : text;
}

/** The first place where a stop string stands and the text may end; -1: there is none. */
export function firstStop(text: string, stops: string[], mayEnd: MayEnd): number {
  let first = -1;
  for (const stop of stops) {
    for (let at = text.indexOf(stop); at >= 0 && (first < 0 || at < first); at = text.indexOf(stop, at + 1)) if (mayEnd(text, at)) first = at;
  }
  return first;
}

/** How many characters at the end of `text` might still grow into a stop string. */
function heldBack(text: string, stops: string[]): number {
  let held = 0;
  for (const stop of stops) {
    for (let n = Math.min(stop.length - 1, text.length); n > held; n--) if (text.endsWith(stop.slice(0, n))) held = n;
  }
  return held;
}
