/**
 * Rewards that are plain arithmetic over an answer's text: exact answer, JSON Schema, length, script. Each gives 0 to 1, the same for the same text.
 * Not here: what runs code of the recipe's author (sandbox.ts: regular expressions too, for one of them can run for ever) or a model.
 */
import type { Message } from '../../shared/dataset.ts';
import type { Reward } from '../../shared/recipes/rewards.ts';
import { readSchema } from '../sampling/constraint/validate.ts';
import { matchOf } from '../within-time.ts';

/** An answer as rewards see it. `tokens` with its end-of-turn token; `expected` is the row's own answer, where it has one. */
export type Answer = { prompt: string | Message[]; completion: string; tokens: number; expected: string | null };

type Rule<Type extends Reward['type']> = Extract<Reward, { type: Type }>;

export function exactReward({ pattern, ignoreCase }: Rule<'exact'>): (answer: Answer) => number {
  const sought = pattern === undefined ? null : new RegExp(pattern, 'u');
  const core = (text: string): string | null => {
    const match = sought && matchOf(sought, text);
    if (sought && !match) return null;
    const found = (match ? (match[1] ?? match[0]) : text).trim().replace(/\s+/g, ' ');
    return ignoreCase ? found.toLowerCase() : found;
  };
  return ({ completion, expected }) => {
    if (expected === null) return 0;
    const [got, wanted] = [core(completion), core(expected)];
    return Number(wanted !== null && got === wanted);
  };
}

export function jsonReward({ schema }: Rule<'json'>): (answer: Answer) => number {
  const check = readSchema(schema).compile();
  return ({ completion }) => {
    const validity = check(completion);
    if (validity === null) throw new Error(`reward json: a pattern of the schema took too long on ${JSON.stringify(completion.slice(0, 80))}: write it without a repetition inside a repetition`);
    return Number(validity.valid);
  };
}

export function lengthReward({ unit, min, max }: Rule<'length'>): (answer: Answer) => number {
  return ({ completion, tokens }) => {
    const length = unit === 'tokens' ? tokens : unit === 'words' ? (completion.match(/\S+/g) ?? []).length : [...completion].length;
    if (length < min) return length / min;
    return length <= max ? 1 : Math.max(0, 2 - length / max);
  };
}

export function languageReward({ script }: Rule<'language'>): (answer: Answer) => number {
  const [wanted, letters] = [new RegExp(`\\p{Script=${script}}`, 'gu'), /\p{L}/gu];
  return ({ completion }) => {
    const all = completion.match(letters);
    // only letters count: a script has marks and digits of its own
    return all ? all.filter((letter) => letter.match(wanted)).length / all.length : 0;
  };
}
