/**
 * A folder whose experts lie fused, as transformers 5 holds them in memory (mlp.experts.gate_up_proj (E, 2·F, C), mlp.experts.down_proj (E, C, F)),
 * seen as one with a tensor an expert, as files usually have them. Nothing is copied until a tensor is read.
 */
import type { ModelConfig } from './config.ts';
import type { TensorFolder } from './parameters.ts';

type Piece = { fused: string; part: number; parts: number };

/** The folder itself where nothing in it is fused. */
export function unfused(config: ModelConfig, folder: TensorFolder): TensorFolder {
  const { mixture, names: { layers, mixture: names } } = config;
  if (!mixture || !names) return folder;
  const pieces = new Map<string, Piece>();
  const tensors = new Map(folder.tensors);
  const { numExperts: E } = mixture;
  for (const [layer, routed] of mixture.layers.entries()) {
    const at = (part: string) => `${layers}.${layer}.${part}`;
    if (!routed || !tensors.has(at('mlp.experts.gate_up_proj'))) continue;
    // Mixtral's router is called block_sparse_moe.gate beside single experts only
    const router = `${at(names.router)}.weight`, renamed = at('mlp.gate.weight');
    if (!tensors.has(router) && tensors.has(renamed)) {
      tensors.set(router, tensors.get(renamed)!);
      tensors.delete(renamed);
      pieces.set(router, { fused: renamed, part: 0, parts: 1 });
    }
    for (const [name, spelled] of [['gate_up_proj', [names.gate, names.up]], ['down_proj', [names.down]]] as const) {
      const fused = at(`mlp.experts.${name}`);
      const info = tensors.get(fused);
      if (!info || info.shape.length !== 3 || info.shape[0] !== E || info.shape[1]! % spelled.length !== 0) {
        throw new Error(`${info?.file ?? folder.folder}: tensor ${fused} ${info ? `has shape [${info.shape.join(', ')}]` : 'is missing'}, but config.json makes it a matrix for each of ${E} experts; the two files do not belong together`);
      }
      tensors.delete(fused);
      for (let part = 0; part < E * spelled.length; part++) {
        const single = `${at(names.experts)}.${Math.floor(part / spelled.length)}.${spelled[part % spelled.length]}.weight`;
        tensors.set(single, { ...info, shape: [info.shape[1]! / spelled.length, info.shape[2]!] });
        pieces.set(single, { fused, part, parts: E * spelled.length });
      }
    }
  }
  if (pieces.size === 0) return folder;
  /** The fused tensors read last: an expert's matrices are asked for one after another. */
  const held = new Map<string, Promise<Float32Array>>();
  return {
    ...folder,
    tensors,
    async read(name) {
      const piece = pieces.get(name);
      if (!piece) return folder.read(name);
      let whole = held.get(piece.fused);
      if (!whole) {
        if (held.size === 2) held.delete(held.keys().next().value!);
        held.set(piece.fused, (whole = folder.read(piece.fused)));
      }
      const values = await whole;
      const length = values.length / piece.parts;
      return values.slice(piece.part * length, (piece.part + 1) * length);
    },
  };
}
