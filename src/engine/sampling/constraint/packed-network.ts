/** A network as plain arrays, so that it can go from the thread that made it to the one that samples; linked nodes could not. */
import type { Call, Network, Node, Rule } from './network.ts';

/** Nodes are numbers, 0 is the start; edges stand in the order they have in the network. */
export type PackedNetwork = {
  ends: Uint8Array;
  costs: Float64Array;
  byteCosts: Float64Array;
  /** from, low, high, to */
  bytes: Int32Array;
  /** from, to */
  empty: Int32Array;
  /** from, start of the rule, min, max, to */
  calls: Float64Array;
};

export function packNetwork({ start }: Network): PackedNetwork {
  const nodes: Node[] = [start];
  const numbers = new Map<Node, number>([[start, 0]]);
  const numberOf = (node: Node): number => {
    let number = numbers.get(node);
    if (number === undefined) {
      numbers.set(node, (number = nodes.length));
      nodes.push(node);
    }
    return number;
  };
  const bytes: number[] = [], empty: number[] = [], calls: number[] = [];
  for (let from = 0; from < nodes.length; from++) {
    for (const { low, high, to } of nodes[from].bytes) bytes.push(from, low, high, numberOf(to));
    for (const to of nodes[from].empty) empty.push(from, numberOf(to));
    for (const { rule, min, max, to } of nodes[from].calls) calls.push(from, numberOf(rule.start), min, max, numberOf(to));
  }
  return {
    ends: Uint8Array.from(nodes, ({ end }) => Number(end)), costs: Float64Array.from(nodes, ({ cost }) => cost), byteCosts: Float64Array.from(nodes, ({ byteCost }) => byteCost),
    bytes: Int32Array.from(bytes), empty: Int32Array.from(empty), calls: Float64Array.from(calls),
  };
}

export function unpackNetwork({ ends, costs, byteCosts, bytes, empty, calls }: PackedNetwork): Network {
  const nodes = Array.from(ends, (end, id): Node => ({ id, bytes: [], empty: [], calls: [], end: end === 1, cost: costs[id], byteCost: byteCosts[id] }));
  const rules = new Map<number, Rule>();
  const ruleAt = (start: number): Rule => {
    let rule = rules.get(start);
    if (!rule) rules.set(start, (rule = { name: '', start: nodes[start] }));
    return rule;
  };
  for (let i = 0; i < bytes.length; i += 4) nodes[bytes[i]].bytes.push({ low: bytes[i + 1], high: bytes[i + 2], to: nodes[bytes[i + 3]] });
  for (let i = 0; i < empty.length; i += 2) nodes[empty[i]].empty.push(nodes[empty[i + 1]]);
  for (let i = 0; i < calls.length; i += 5) {
    const call: Call = { rule: ruleAt(calls[i + 1]), min: calls[i + 2], max: calls[i + 3], to: nodes[calls[i + 4]] };
    nodes[calls[i]].calls.push(call);
  }
  return { start: nodes[0], cost: costs[0] };
}
