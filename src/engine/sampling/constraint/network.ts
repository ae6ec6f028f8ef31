/**
 * Rules as one network of nodes over bytes: a node has byte edges, empty edges and calls of other rules. Every node knows the fewest bytes to the
 * end of its rule, and what leads nowhere is cut off, so that whoever walks the network is never at a dead end. Not here: the walking (states.ts).
 */
import { ConstraintError } from './constraint.ts';
import type { Automaton, Expression, Rules } from './expression.ts';
import { type ByteSequence, jsonSequences, utf8Sequences } from './utf8.ts';

export type Node = {
  id: number;
  bytes: { low: number; high: number; to: Node }[];
  empty: Node[];
  calls: Call[];
  /** The end of its rule. */
  end: boolean;
  /** Fewest bytes to the end of its rule; Infinity: it cannot be reached. */
  cost: number;
  /** The same through one of its byte edges. */
  byteCost: number;
};

/** The callee's text, `min` to `max` times, then `to`. */
export type Call = { rule: Rule; min: number; max: number; to: Node };
export type Rule = { name: string; start: Node };
export type Network = { start: Node; cost: number };

/** Beyond it a constraint takes too much memory. */
const MOST_NODES = 2_000_000;
/** Repetitions of what may be empty: each is one call deep. */
const MOST_EMPTY = 1000;

/** `usable`: bytes that are tokens by themselves; a text is only counted on where those suffice. Throws on left recursion and on a grammar without a text. */
export function buildNetwork(rules: Rules, root: string, usable: (byte: number) => boolean): Network {
  const nodes: Node[] = [];
  const node = (end = false): Node => {
    if (nodes.length >= MOST_NODES) throw new ConstraintError('the constraint is too large: give shorter lengths and fewer alternatives');
    const made: Node = { id: nodes.length, bytes: [], empty: [], calls: [], end, cost: end ? 0 : Infinity, byteCost: Infinity };
    nodes.push(made);
    return made;
  };
  const built = new Map<string, Rule>();
  const queue: { made: Rule; body: Expression }[] = [];
  const define = (name: string, body: Expression): Rule => {
    const made = { name, start: node() };
    queue.push({ made, body });
    return made;
  };
  const ruleNamed = (name: string): Rule => {
    const known = built.get(name);
    if (known) return known;
    const made = define(name, rules.get(name)!);
    built.set(name, made);
    return made;
  };

  /** A text of `expression` leads from `from` to `to`. */
  function connect(expression: Expression, from: Node, to: Node): void {
    switch (expression.type) {
      case 'bytes': {
        let at = from;
        expression.bytes.forEach((byte, i) => {
          const next = i === expression.bytes.length - 1 ? to : node();
          at.bytes.push({ low: byte, high: byte, to: next });
          at = next;
        });
        if (expression.bytes.length === 0) from.empty.push(to);
        return;
      }
      case 'automaton':
        return connectAutomaton(expression.automaton, expression.json ? jsonSequences : utf8Sequences, from, to);
      case 'sequence': {
        let at = from;
        expression.parts.forEach((part, i) => {
          const next = i === expression.parts.length - 1 ? to : node();
          connect(part, at, next);
          at = next;
        });
        if (expression.parts.length === 0) from.empty.push(to);
        return;
      }
      case 'alternatives':
        for (const one of expression.of) {
          const start = node(); // apart, so that an alternative that loops to its start does not enter its neighbour
          from.empty.push(start);
          connect(one, start, to);
        }
        return;
      case 'repeat': {
        const { body, min, max } = expression;
        if (min === 0 && max === 1) {
          from.empty.push(to);
          const start = node();
          from.empty.push(start);
          return connect(body, start, to);
        }
        if (max === 0) return void from.empty.push(to);
        if (min === 0 && max === Infinity) {
          const loop = node(), start = node();
          from.empty.push(loop);
          loop.empty.push(to, start);
          return connect(body, start, loop);
        }
        // counted while it is walked: a thousand times takes no more nodes than two
        const rule = define('', body);
        if (min === 0) from.empty.push(to);
        from.calls.push({ rule, min: Math.max(1, min), max, to });
        return;
      }
      case 'rule':
        from.calls.push({ rule: ruleNamed(expression.name), min: 1, max: 1, to });
    }
  }

  function connectAutomaton({ edges, accepting }: Automaton, sequencesOf: typeof utf8Sequences, from: Node, to: Node): void {
    const states = edges.map(() => node());
    from.empty.push(states[0]);
    const rests = new Map<string, Node>(); // the same last bytes to the same state are the same nodes
    const rest = (sequence: ByteSequence, at: number, target: number): Node => {
      if (at === sequence.length) return states[target];
      const key = `${target}:${sequence.slice(at).join(';')}`;
      let made = rests.get(key);
      if (!made) {
        made = node();
        rests.set(key, made);
        made.bytes.push({ low: sequence[at][0], high: sequence[at][1], to: rest(sequence, at + 1, target) });
      }
      return made;
    };
    edges.forEach((out, state) => {
      for (const { ranges, to: target } of out) {
        for (const sequence of sequencesOf(ranges)) states[state].bytes.push({ low: sequence[0][0], high: sequence[0][1], to: rest(sequence, 1, target) });
      }
      if (accepting[state]) states[state].empty.push(to);
    });
  }

  const start = ruleNamed(root);
  for (const { made, body } of queue) connect(body, made.start, node(true)); // grows while it is gone through
  findCosts(nodes, usable);
  for (const one of nodes) {
    one.bytes = one.bytes.filter(({ to }) => to.cost < Infinity);
    one.empty = one.empty.filter((to) => to.cost < Infinity);
    one.calls = one.calls.filter(({ rule, to }) => rule.start.cost < Infinity && to.cost < Infinity);
    const deep = one.calls.find(({ rule, max }) => rule.start.cost === 0 && max < Infinity && max > MOST_EMPTY);
    if (deep) throw new ConstraintError(`something that may be empty is repeated up to ${deep.max} times: repeat it at most ${MOST_EMPTY} times, or without a limit`);
  }
  refuseLeftRecursion(nodes, built);
  return { start: start.start, cost: start.start.cost };
}

/** Relaxes every node until nothing falls; backwards, since most edges lead to nodes made later. */
function findCosts(nodes: Node[], usable: (byte: number) => boolean): void {
  const anyUsable = (low: number, high: number): boolean => {
    for (let byte = low; byte <= high; byte++) if (usable(byte)) return true;
    return false;
  };
  for (let falls = true; falls; ) {
    falls = false;
    for (let i = nodes.length - 1; i >= 0; i--) {
      const node = nodes[i];
      let cost = node.cost;
      for (const { low, high, to } of node.bytes) if (to.cost + 1 < node.byteCost && anyUsable(low, high)) node.byteCost = to.cost + 1;
      cost = Math.min(cost, node.byteCost);
      for (const to of node.empty) cost = Math.min(cost, to.cost);
      for (const { rule, min, to } of node.calls) cost = Math.min(cost, min * rule.start.cost + to.cost);
      if (cost < node.cost) {
        node.cost = cost;
        falls = true;
      }
    }
  }
}

/** A rule that calls itself before any byte would be called for ever. */
function refuseLeftRecursion(nodes: Node[], named: Map<string, Rule>): void {
  const nameOf = new Map([...named.values()].map(({ name, start }) => [start, name]));
  const state = new Map<Node, 'open' | 'closed'>();
  for (const root of nodes) {
    if (state.has(root)) continue;
    const path: { node: Node; next: { to: Node; called: boolean }[] }[] = [{ node: root, next: reachable(root) }];
    state.set(root, 'open');
    while (path.length > 0) {
      const top = path.at(-1)!;
      const step = top.next.pop();
      if (!step) {
        state.set(top.node, 'closed');
        path.pop();
      } else if (state.get(step.to) === undefined) {
        state.set(step.to, 'open');
        path.push({ node: step.to, next: reachable(step.to) });
      } else if (state.get(step.to) === 'open') {
        // a loop of empty edges alone is a repeated empty text, which does no harm
        const loop = path.slice(path.findIndex(({ node }) => node === step.to)).map(({ node }) => node);
        const called = loop.map((node) => nameOf.get(node)).find((name) => name !== undefined);
        if (called !== undefined) throw new ConstraintError(`the rule ${called} calls itself before any character (left recursion): write it as a repetition, or with the recursion last`);
      }
    }
  }
}

function reachable({ empty, calls }: Node): { to: Node; called: boolean }[] {
  return [
    ...empty.map((to) => ({ to, called: false })),
    ...calls.map(({ rule }) => ({ to: rule.start, called: true })),
    ...calls.filter(({ rule }) => rule.start.cost === 0).map(({ to }) => ({ to, called: false })),
  ];
}
