/**
 * What a graphics card lets kernels use beside WGSL's core, and which of it a device takes: subgroups (threads that run side by side and add without memory
 * between them) by both devices, numbers of 16 bits and subgroup matrices (Dawn's cooperative matrices, an experiment of its) by webgpu-f16 alone.
 */

/** Of one subgroup-wide product c(M,N) += a(M,K) · b(K,N), f16 into f32. */
export type MatrixShape = { M: number; N: number; K: number; subgroup: number };

export type Abilities = {
  subgroups: boolean;
  /** Products of f16, sums in f32. rounded: f32 numbers rounded as f16 would be, for tests where no card has f16. */
  half: 'f16' | 'rounded' | null;
  matrix: MatrixShape | null;
};

/** Dawn's own, which WebGPU's types do not know. */
type DawnInfo = GPUAdapterInfo & {
  subgroupMinSize?: number; subgroupMaxSize?: number;
  subgroupMatrixConfigs?: { componentType: string; resultComponentType: string; M: number; N: number; K: number }[];
};
export const MATRIX = 'chromium-experimental-subgroup-matrix';

/** Side of linear.ts's largest tile, steps of depth it takes at once, and threads that make it: a matrix must divide them. */
const [TILE, DEPTH, THREADS] = [64, 16, 256];

export function abilitiesOf({ features, info }: GPUAdapter, language: ReadonlySet<string>, half: Abilities['half']): Abilities {
  const has = (name: string): boolean => (features as ReadonlySet<string>).has(name);
  const subgroups = has('subgroups') && language.has('subgroup_id');
  return { subgroups, half, matrix: half === 'f16' && subgroups && has(MATRIX) ? matrixOf(info) : null };
}

/** The first shape that fits the tiles, where subgroups always have the same size: a kernel is written for one. */
function matrixOf(info: DawnInfo): MatrixShape | null {
  const { subgroupMinSize, subgroupMaxSize: subgroup, subgroupMatrixConfigs = [] } = info;
  if (!subgroup || subgroupMinSize !== subgroup || THREADS % subgroup !== 0) return null;
  const found = subgroupMatrixConfigs.find(({ componentType, resultComponentType, M, N, K }) => {
    if (componentType !== 'f16' || resultComponentType !== 'f32' || TILE % M !== 0 || TILE % N !== 0 || DEPTH % K !== 0) return false;
    const [all, across] = [(TILE / M) * (TILE / N), TILE / N];
    const each = all / (THREADS / subgroup);
    return each >= 1 && (across % each === 0 || each % across === 0);
  });
  return found ? { M: found.M, N: found.N, K: found.K, subgroup } : null;
}

/** Features a device with these abilities must ask for. */
export const featuresOf = ({ subgroups, half, matrix }: Abilities): GPUFeatureName[] =>
  [...(subgroups ? ['subgroups'] : []), ...(half === 'f16' ? ['shader-f16'] : []), ...(matrix ? [MATRIX] : [])] as GPUFeatureName[];

/** For people. */
export function describeAbilities({ subgroups, half, matrix }: Abilities, info: DawnInfo): string[] {
  const { subgroupMinSize: least, subgroupMaxSize: most } = info;
  const products = half === null ? 'f32 products' : half === 'rounded' ? 'products of f32 rounded as f16 (a trial), f32 sums' : 'f16 products, f32 sums';
  return [
    `${products}${matrix ? ` by subgroup matrices of ${matrix.M} × ${matrix.N} × ${matrix.K}` : ''}`,
    ...(subgroups ? [`subgroups of ${least === most ? most : `${least} to ${most}`}`] : []),
  ];
}
