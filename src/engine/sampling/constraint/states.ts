/**
 * Where a text may be in a network: a state is the set of all places at once (each a node and the calls it is inside of), found as it is asked for
 * and found once. A state knows the fewest bytes to a whole text. It is what a deterministic automaton would be if calls did not make it endless.
 */
import type { Call, Network, Node } from './network.ts';

/** A call that is under way: `count` of its repetitions are done. Null: the text itself. */
type Frame = { id: number; call: Call; count: number; parent: Frame | null; cost: number };
type Place = { id: number; node: Node; frame: Frame | null };

export type State = {
  places: Place[];
  /** A text may end here. */
  accepting: boolean;
  /** Fewest bytes to where it may. */
  cost: number;
  /** By byte: which of `targets`; 255 is none. Null before it is asked for. */
  classes: Uint8Array | null;
  targets: State[];
  /** What others remember of it (matcher.ts). */
  base: { mask: Int32Array; worst: number } | null;
  closing: number;
};

/** After so many states they are found anew: an endless text must not fill the memory. Those in use live on. */
const MOST_STATES = 20_000;
export const NONE = 255;

export interface States {
  readonly start: State;
  step(state: State, byte: number): State | null;
  /** Fills `classes` and `targets`. */
  expand(state: State): void;
}

export function createStates(network: Network): States {
  let ids = 0;
  let frames = new Map<string, Frame>();
  let places = new Map<string, Place>();
  let states = new Map<string, State>();

  const costOf = (frame: Frame | null): number => (frame === null ? 0 : frame.cost);

  function frameOf(call: Call, count: number, parent: Frame | null): Frame {
    const kept = Math.min(count, call.max === Infinity ? call.min : call.max); // where nothing more is counted, counts are one
    const key = `${call.to.id}:${call.rule.start.id}:${kept}:${parent?.id ?? -1}`;
    let frame = frames.get(key);
    if (!frame) {
      const left = Math.max(0, call.min - kept - 1);
      frame = { id: ids++, call, count: kept, parent, cost: left * call.rule.start.cost + call.to.cost + costOf(parent) };
      frames.set(key, frame);
    }
    return frame;
  }

  /** Adds what is reached from a place without a byte; says whether the text may end. */
  function close(node: Node, frame: Frame | null, into: Map<number, Place>, seen: Set<string>): boolean {
    const key = `${node.id}:${frame?.id ?? -1}`;
    if (seen.has(key)) return false;
    seen.add(key);
    let accepting = false;
    if (node.bytes.length > 0) {
      let place = places.get(key);
      if (!place) places.set(key, (place = { id: ids++, node, frame }));
      into.set(place.id, place);
    }
    for (const to of node.empty) accepting = close(to, frame, into, seen) || accepting;
    for (const call of node.calls) {
      // the last thing a rule does needs no way back: recursion to the right does not grow
      const last = call.max === 1 && call.to.end && call.to.bytes.length + call.to.empty.length + call.to.calls.length === 0;
      accepting = close(call.rule.start, last ? frame : frameOf(call, 0, frame), into, seen) || accepting;
    }
    if (node.end) {
      if (frame === null) return true;
      const { call, count, parent } = frame;
      if (count + 1 < call.max) accepting = close(call.rule.start, frameOf(call, count + 1, parent), into, seen) || accepting;
      if (count + 1 >= call.min) accepting = close(call.to, parent, into, seen) || accepting;
    }
    return accepting;
  }

  function stateOf(reached: Map<number, Place>, accepting: boolean): State {
    const sorted = [...reached.keys()].sort((a, b) => a - b);
    const key = `${sorted.join()}${accepting ? '!' : ''}`;
    let state = states.get(key);
    if (!state) {
      if (states.size >= MOST_STATES) {
        frames = new Map();
        places = new Map();
        states = new Map();
      }
      const of = [...reached.values()];
      const cost = accepting ? 0 : of.reduce((least, { node, frame }) => Math.min(least, node.byteCost + costOf(frame)), Infinity);
      state = { places: of, accepting, cost, classes: null, targets: [], base: null, closing: -1 };
      states.set(key, state);
    }
    return state;
  }

  function expand(state: State): void {
    // between two borders every byte does the same
    const borders = new Set([0, 256]);
    for (const { node } of state.places) {
      for (const { low, high } of node.bytes) borders.add(low).add(high + 1);
    }
    const sorted = [...borders].sort((a, b) => a - b);
    const classes = new Uint8Array(256).fill(NONE);
    const known = new Map<State, number>();
    for (let i = 0; i + 1 < sorted.length; i++) {
      const reached = new Map<number, Place>();
      const seen = new Set<string>();
      let accepting = false;
      for (const { node, frame } of state.places) {
        for (const { low, high, to } of node.bytes) if (low <= sorted[i] && sorted[i] <= high) accepting = close(to, frame, reached, seen) || accepting;
      }
      if (reached.size === 0 && !accepting) continue;
      const target = stateOf(reached, accepting);
      let at = known.get(target);
      if (at === undefined) {
        known.set(target, (at = state.targets.length));
        state.targets.push(target);
      }
      classes.fill(at, sorted[i], sorted[i + 1]);
    }
    state.classes = classes;
  }

  const reached = new Map<number, Place>();
  const accepting = close(network.start, null, reached, new Set());
  return {
    start: stateOf(reached, accepting),
    expand,
    step(state, byte) {
      if (state.classes === null) expand(state);
      const at = state.classes![byte];
      return at === NONE ? null : state.targets[at];
    },
  };
}
