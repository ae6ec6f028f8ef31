import { expect, test } from 'vitest';
import type { TensorChange } from '../../../shared/inspection.ts';
import { heatMap, togetherOf } from './heat-map.ts';

const tensor = (layer: number | null, module: string, change: number, other: number, more: Partial<TensorChange> = {}): TensorChange => ({
  name: module, part: 'mlp', layer, module, parameters: 1, found: 'both', relative: Math.sqrt(change / other), cosine: 1, largest: 0, squares: { change, other }, ...more,
});

test('tensors together are one vector: squares are added, not ratios', () => {
  // changes of 3 and 4 on norms of 6 and 8: 5 / 10
  expect(togetherOf([tensor(0, 'a', 9, 36), tensor(0, 'b', 16, 64)])).toBe(0.5);
  expect(togetherOf([tensor(0, 'a', 0, 0)])).toBe(0);
  expect(togetherOf([tensor(0, 'a', 0, 1, { squares: null })])).toBeNull();
});

test('a row a layer and a column a module; experts of a layer are one column; what only one model has, and what lies outside, is not in the map', () => {
  const map = heatMap([
    tensor(null, 'model.norm.weight', 1, 1), tensor(1, 'q.weight', 1, 4), tensor(0, 'q.weight', 0, 4), tensor(0, 'experts.0.up.weight', 9, 36), tensor(0, 'experts.1.up.weight', 16, 64),
    tensor(0, 'k.weight', 1, 1, { found: 'only-model', squares: null }),
  ]);
  expect(map.modules).toEqual(['q', 'experts.*.up']);
  expect(map.rows).toEqual([{ layer: 0, cells: [0, 0.5], together: Math.sqrt(25 / 104) }, { layer: 1, cells: [0.5, null], together: 0.5 }]);
  expect(map.most).toBe(0.5);
});
