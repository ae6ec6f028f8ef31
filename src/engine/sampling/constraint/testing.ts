/** For tests: answers drawn evenly from what a mask lets through, and whether a JSON value can be written in any order of its properties. */
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { allows, type CompiledConstraint } from './constraint.ts';
import { schemaRules } from './json-schema/schema-rules.ts';
import type { Schema } from './json-schema/document.ts';
import { buildNetwork } from './network.ts';
import { createStates, type State, type States } from './states.ts';

export type Drawn = { text: string; tokens: number; complete: boolean };

/** Throws where a mask lets nothing through. */
export function drawText(constraint: CompiledConstraint, tokenizer: Tokenizer, next: () => number, budget: number): Drawn {
  const matcher = constraint.start();
  const ids: number[] = [];
  while (ids.length < budget && !matcher.finished) {
    const mask = matcher.mask(budget - ids.length);
    const allowed: number[] = [];
    for (let id = 0; id < tokenizer.vocabSize; id++) if (allows(mask, id)) allowed.push(id);
    if (allowed.length === 0) throw new Error(`nothing may follow ${JSON.stringify(tokenizer.decode(ids))}`);
    const id = allowed[Math.floor(next() * allowed.length)];
    if (tokenizer.eosIds.includes(id)) break;
    ids.push(id);
    matcher.accept(id);
  }
  return { text: tokenizer.decode(ids), tokens: ids.length, complete: matcher.complete };
}

/** Whether the rules of a schema take a value, its properties in any order: objects have none, and the rules have one. */
export function createTaker(schema: Schema): (value: unknown) => boolean {
  const { rules, root } = schemaRules(schema);
  const states = createStates(buildNetwork(rules, root, () => true));
  return (value) => after(states, states.start, value).some(({ accepting }) => accepting);
}

/** Tries of orders before a value is given up. */
const MOST_TRIES = 20_000;

function after(states: States, from: State, value: unknown): State[] {
  if (Array.isArray(value)) {
    let reached = read(states, [from], '[');
    value.forEach((item, i) => (reached = read(states, reached, i > 0 ? ',' : '').flatMap((state) => after(states, state, item))));
    return read(states, reached, ']');
  }
  if (typeof value !== 'object' || value === null) return read(states, [from], JSON.stringify(value));
  const all = Object.entries(value);
  let tries = 0;
  const go = (state: State, left: [string, unknown][]): State[] => {
    if (left.length === 0) return read(states, [state], '}');
    for (const one of left) {
      if (tries++ > MOST_TRIES) return [];
      const named = read(states, [state], `${left.length < all.length ? ',' : ''}${JSON.stringify(one[0])}:`);
      for (const next of named.flatMap((at) => after(states, at, one[1]))) {
        const reached = go(next, left.filter((other) => other !== one));
        if (reached.length > 0) return reached;
      }
    }
    return [];
  };
  return read(states, [from], '{').flatMap((state) => go(state, all));
}

function read(states: States, from: State[], text: string): State[] {
  return from.flatMap((start) => {
    let state: State | null = start;
    for (const byte of new TextEncoder().encode(text)) state &&= states.step(state, byte);
    return state ?? [];
  });
}
