/** Changes of two models' tensors as a map: a row a layer, a column a module; and how tensors that belong together have changed together. */
import type { TensorChange } from '../../../shared/inspection.ts';

export type HeatMap = {
  modules: string[];
  /** `cells` by module; null where the layer has none that both models have. */
  rows: { layer: number; cells: (number | null)[]; together: number | null }[];
  /** The largest of the cells. */
  most: number;
};

/** ‖model − other‖ / ‖other‖ over several tensors as one vector; null where there is nothing to go by. */
export function togetherOf(tensors: TensorChange[]): number | null {
  const squares = tensors.flatMap((tensor) => tensor.squares ?? []);
  const [change, other] = [squares.reduce((sum, each) => sum + each.change, 0), squares.reduce((sum, each) => sum + each.other, 0)];
  return other > 0 ? Math.sqrt(change / other) : squares.length > 0 && change === 0 ? 0 : null;
}

/** A layer's experts stand together in one column. */
export const moduleOf = ({ module }: TensorChange): string => module.replace(/\.\d+\./g, '.*.').replace(/\.weight$/, '');

export function heatMap(tensors: TensorChange[]): HeatMap {
  const layered = tensors.filter(({ layer, found }) => layer !== null && found === 'both');
  const modules = [...new Set(layered.map(moduleOf))];
  const layers = [...new Set(layered.map(({ layer }) => layer!))].sort((a, b) => a - b);
  const rows = layers.map((layer) => {
    const own = layered.filter((tensor) => tensor.layer === layer);
    return { layer, cells: modules.map((module) => togetherOf(own.filter((tensor) => moduleOf(tensor) === module))), together: togetherOf(own) };
  });
  return { modules, rows, most: Math.max(0, ...rows.flatMap(({ cells }) => cells.map((cell) => cell ?? 0))) };
}
