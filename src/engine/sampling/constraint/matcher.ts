/**
 * A network of bytes against a vocabulary: which tokens may come next, such that the text can still be finished.
 *
 * Why a budget always suffices: from every state one shortest text is the state's own, found byte by byte, so that the rest of it is the own text of
 * each state on the way. `closing` is the fewest tokens this text can be cut into. A mask for `remaining` tokens lets through what leads to a state
 * with closing ≤ remaining − 1. The first token of the best cut leads to closing − 1, so once closing ≤ remaining held, it holds after every token
 * that the mask lets through, and with nothing remaining the text is whole.
 */
import type { Matcher } from './constraint.ts';
import type { Network } from './network.ts';
import { createStates, NONE, type State } from './states.ts';
import type { Vocabulary } from './vocabulary.ts';

export type Masks = { fewestTokens: number; start(): Matcher; matches(bytes: Uint8Array): boolean };

export function createMasks(network: Network, vocabulary: Vocabulary): Masks {
  const states = createStates(network);
  const { bytes, depths, skips, ids, twins, byteIds, words, endIds } = vocabulary;
  const path: State[] = new Array<State>(vocabulary.deepest + 1);

  /** Every token that fits, and where it leads. */
  function walk(from: State, visit: (id: number, to: State) => void): void {
    path[0] = from;
    for (let at = 0; at < bytes.length; ) {
      const state = path[depths[at] - 1];
      if (state.classes === null) states.expand(state);
      const target = state.classes![bytes[at]];
      if (target === NONE) {
        at = skips[at];
        continue;
      }
      const to = state.targets[target];
      path[depths[at]] = to;
      if (ids[at] >= 0) visit(ids[at], to);
      at++;
    }
  }

  const set = (mask: Int32Array, id: number): void => {
    mask[id >> 5] |= 1 << (id & 31);
    for (const twin of twins.get(id) ?? []) mask[twin >> 5] |= 1 << (twin & 31);
  };

  function emptyMask(state: State): Int32Array {
    const mask = new Int32Array(words);
    if (state.accepting) for (const id of endIds) mask[id >> 5] |= 1 << (id & 31);
    return mask;
  }

  /** The mask of an endless budget, and the most bytes that any of its tokens leaves to be written. */
  function baseOf(state: State): { mask: Int32Array; worst: number } {
    if (state.base) return state.base;
    const mask = emptyMask(state);
    let worst = 0;
    walk(state, (id, to) => {
      set(mask, id);
      if (to.cost > worst) worst = to.cost;
    });
    return (state.base = { mask, worst });
  }

  /** Fewest tokens that the state's own shortest text can be cut into. */
  function closingOf(state: State): number {
    if (state.closing >= 0) return state.closing;
    const way: State[] = [state];
    const text: number[] = [];
    for (let at = state; at.cost > 0 && at.closing < 0; ) {
      let byte = 0;
      let to: State | null = null;
      for (; byte < 256; byte++) {
        to = byteIds[byte] < 0 ? null : states.step(at, byte);
        if (to !== null && to.cost === at.cost - 1) break;
      }
      if (to === null) throw new Error(`a state ${at.cost} bytes from its end leads nowhere`);
      text.push(byte);
      way.push(at = to);
    }
    const known = way.at(-1)!;
    if (known.cost === 0) known.closing = 0;
    // the text goes on behind a state that is known already: a token may reach over it, which is not looked for; one more token than needed is safe
    for (let i = way.length - 2; i >= 0; i--) {
      let fewest = Infinity;
      for (const length of tokenLengths(text, i)) fewest = Math.min(fewest, 1 + way[i + length].closing);
      way[i].closing = fewest;
    }
    return state.closing;
  }

  /** Of the tokens that the text goes on with at a place. */
  function tokenLengths(text: number[], from: number): number[] {
    const lengths: number[] = [];
    for (let at = 0, depth = 1; at < bytes.length && from + depth <= text.length; ) {
      if (depths[at] < depth) break;
      if (bytes[at] !== text[from + depth - 1]) {
        at = skips[at];
        continue;
      }
      if (ids[at] >= 0) lengths.push(depth);
      at++;
      depth++;
    }
    return lengths;
  }

  function maskFor(state: State, remaining: number): Int32Array {
    const { mask, worst } = baseOf(state);
    if (worst <= remaining - 1) return mask; // bytes are tokens, too
    const tight = emptyMask(state);
    walk(state, (id, to) => {
      if (to.cost <= remaining - 1 || closingOf(to) <= remaining - 1) set(tight, id);
    });
    if (closingOf(state) > remaining) throw new Error(`the text needs ${closingOf(state)} more tokens, ${remaining} are left`);
    return tight;
  }

  function matcherAt(from: State): Matcher {
    let state = from;
    return {
      mask: (remaining) => maskFor(state, remaining),
      accept(id) {
        for (const byte of vocabulary.bytesOf(id) ?? []) {
          const next = states.step(state, byte);
          if (!next) throw new Error(`token ${id} does not fit the constraint`);
          state = next;
        }
      },
      fork: () => matcherAt(state),
      get complete() {
        return state.accepting;
      },
      get finished() {
        if (!state.accepting) return false;
        if (state.classes === null) states.expand(state);
        return state.targets.length === 0;
      },
    };
  }

  return {
    get fewestTokens() {
      return closingOf(states.start);
    },
    start: () => matcherAt(states.start),
    matches(text) {
      let state: State | null = states.start;
      for (const byte of text) {
        state = states.step(state, byte);
        if (!state) return false;
      }
      return state.accepting;
    },
  };
}
