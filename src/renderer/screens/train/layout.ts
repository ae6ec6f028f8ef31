/**
 * Where the form shows a field: the few that matter first, then folded groups. Only places stand here; a field of the schema that is named
 * nowhere lands in the group of its parent, or in the last one.
 */
import type { Field } from './fields.ts';

/** In this order; model and dataset stand above them on their own. */
const FIRST = [
  'name', 'optimizer.learningRate', 'numTrainEpochs', 'maxSteps', 'perDeviceTrainBatchSize', 'maxLength', 'maxCompletionLength', 'numGenerations', 'beta', 'lossType', 'evalSteps',
  'lora', 'lora.r', 'lora.baseWeights', 'rewards', 'goldReward',
];
const ABOVE = ['model', 'dataset'];

export const GROUPS = ['optimizer', 'lora', 'data', 'evaluation', 'method'] as const;
export type Group = (typeof GROUPS)[number];

const PLACES: Record<string, Group> = {
  template: 'data', packing: 'data', completionOnlyLoss: 'data', seed: 'data',
  gradientAccumulationSteps: 'optimizer', gradientCheckpointing: 'optimizer',
  evalRatio: 'evaluation', evalSamples: 'evaluation', saveSteps: 'evaluation', saveTotalLimit: 'evaluation', loggingSteps: 'evaluation',
};

export function layOut(fields: Field[]): { above: Field[]; first: Field[]; groups: { group: Group; fields: Field[] }[] } {
  const byKey = new Map(fields.map((field) => [field.key, field]));
  const named = (keys: string[]) => keys.flatMap((key) => byKey.get(key) ?? []);
  const placed = new Set([...FIRST, ...ABOVE]);
  const rest = Map.groupBy(fields.filter(({ key }) => !placed.has(key)), (field) => PLACES[field.key] ?? parentGroup(field));
  return {
    above: named(ABOVE),
    first: named(FIRST),
    // a group's own before those that only stand with it
    groups: GROUPS.flatMap((group) => (rest.has(group) ? [{ group, fields: rest.get(group)!.toSorted((a, b) => b.path.length - a.path.length) }] : [])),
  };
}

function parentGroup({ path }: Field): Group {
  return path.length > 1 && (GROUPS as readonly string[]).includes(path[0]) ? (path[0] as Group) : 'method';
}
