/** What parts, attention and tokens are called, in the window's language. */
import type { InspectedAttention, InspectedRope, Part, TokenKind } from '../../../shared/inspection.ts';
import { formatCount } from '../../format.ts';
import * as m from '../../paraglide/messages.js';

export const partNames: Record<Part, () => string> = {
  embedding: m.inspect_part_embedding, attention: m.inspect_part_attention, mlp: m.inspect_part_mlp, norms: m.inspect_part_norms, head: m.inspect_part_head,
  adapter: m.inspect_part_adapter,
};

export const kindNames: Record<TokenKind, () => string> = {
  normal: m.inspect_kind_normal, special: m.inspect_kind_special, added: m.inspect_kind_added, byte: m.inspect_kind_byte, unused: m.inspect_kind_unused,
};

const roleNames: Record<string, () => string> = {
  bos: m.inspect_role_bos, eos: m.inspect_role_eos, pad: m.inspect_role_pad, unk: m.inspect_role_unk, sep: m.inspect_role_sep, cls: m.inspect_role_cls,
  mask: m.inspect_role_mask, end: m.inspect_role_end, prefix: m.inspect_role_prefix, template: m.inspect_role_template,
};
export const roleName = (role: string): string => roleNames[role]?.() ?? role;

/** Multi-head, grouped-query or multi-query: how many query heads share keys and values. */
export function sharingTitle({ heads, kvHeads }: InspectedAttention): string {
  if (kvHeads === heads) return m.inspect_attention_mha();
  return kvHeads === 1 ? m.inspect_attention_mqa() : m.inspect_attention_gqa();
}

export function sharingText({ heads, kvHeads, headDim }: InspectedAttention): string {
  const counts = { heads: formatCount(heads), kv: formatCount(kvHeads), dim: formatCount(headDim) };
  return kvHeads === heads ? m.inspect_heads_text_own(counts) : m.inspect_heads_text({ ...counts, each: formatCount(heads / kvHeads) });
}

/** The windows there are, each once, widest last; 0 (all tokens) after them. */
export function windowsOf({ layers }: InspectedAttention): number[] {
  return [...new Set(layers.map(({ window }) => window))].sort((a, b) => (a || Infinity) - (b || Infinity));
}

export const reachTitle = (window: number): string => (window === 0 ? m.inspect_reach_full() : m.inspect_reach_window({ tokens: formatCount(window) }));

export function layersText(attention: InspectedAttention): string {
  const counts = windowsOf(attention).map((window) => m.inspect_layers_count({ count: formatCount(attention.layers.filter((layer) => layer.window === window).length), reach: reachTitle(window) }));
  const unturned = attention.learnedPositions ? 0 : attention.layers.filter(({ rope }) => rope === null).length;
  return [...counts, ...(unturned > 0 ? [m.inspect_layers_unturned({ count: formatCount(unturned) })] : [])].join(' · ');
}

export function layerTitle(attention: InspectedAttention, layer: number): string {
  const { window, rope } = attention.layers[layer]!;
  const turned = attention.learnedPositions || attention.ropes.length < 2 ? (rope === null && !attention.learnedPositions ? m.inspect_layer_unturned() : '') : rope === null ? m.inspect_layer_unturned() : ropeText(attention.ropes[rope]!);
  return [m.inspect_layer({ layer: formatCount(layer) }), reachTitle(window), turned].filter(Boolean).join(' · ');
}

export function ropeText({ type, theta, factor, originalContext }: InspectedRope): string {
  return [
    `${type}${factor === null ? '' : ` ×${formatCount(factor)}`}`, `θ ${formatCount(theta)}`,
    ...(originalContext === null ? [] : [m.inspect_rope_from({ tokens: formatCount(originalContext) })]),
  ].join(' · ');
}

export function positionsText({ learnedPositions, rotaryDims, headDim }: InspectedAttention): string {
  if (learnedPositions) return m.inspect_positions_learned();
  return rotaryDims === headDim ? m.inspect_positions_all({ dims: formatCount(headDim) }) : m.inspect_positions_some({ dims: formatCount(rotaryDims), of: formatCount(headDim) });
}

export const shapeText = (shape: number[]): string => shape.map(formatCount).join(' × ');
