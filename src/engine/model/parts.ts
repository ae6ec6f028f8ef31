/** Every tensor a config asks for, with what it is for: embedding, attention, MLP, norms or head, and its layer. Names and shapes alone; nothing is read. */
import type { Part } from '../../shared/inspection.ts';
import type { ModelConfig } from './config.ts';
import { buildWeights, type Linear, type Parameter } from './parameters.ts';

export type Outlined = { name: string; shape: number[]; part: Exclude<Part, 'adapter'>; layer: number | null; module: string };

const NORM = /(norm|\.ln_\w)\.(weight|bias)$/;

/** In the order of parameters.ts. A tied head is the embedding, and stands there alone. */
export function outlineParts(config: ModelConfig): Outlined[] {
  const all: Parameter[] = [];
  const weights = buildWeights(config, (name, shape) => {
    all.push({ name, shape } as Parameter); // only names and shapes are asked for here
    return all.at(-1)!;
  });
  const attention = new Set<Linear['weight'] | Linear['bias']>(
    weights.layers.flatMap(({ qkv, q, k, v, o }) => [qkv, q, k, v, o]).flatMap((linear) => (linear ? [linear.weight, linear.bias] : [])),
  );
  const partOf = (parameter: Parameter): Outlined['part'] => {
    if (parameter === weights.embedTokens || parameter === weights.embedPositions) return 'embedding';
    if (parameter === weights.head || parameter === weights.score) return 'head';
    if (attention.has(parameter)) return 'attention';
    return NORM.test(parameter.name) ? 'norms' : 'mlp';
  };
  return all.map((parameter) => ({ name: parameter.name, shape: parameter.shape, part: partOf(parameter), ...placeOf(config, parameter.name) }));
}

/** A tensor's layer, and its name below that; also of a module's that an adapter names. */
export function placeOf(config: ModelConfig, name: string): { layer: number | null; module: string } {
  const before = `${config.names.layers}.`;
  const found = name.startsWith(before) ? /^(\d+)\.(.+)$/.exec(name.slice(before.length)) : null;
  return found ? { layer: Number(found[1]), module: found[2]! } : { layer: null, module: name };
}
