/**
 * What GGUF's writer (gguf.ts) and reader (gguf-reader.ts) agree on: numbers of types, llama.cpp's tensor names, the order of rotary rows,
 * and what a config.json's rope settings come to. It touches no file.
 */

export type GgufType = 'f32' | 'f16' | 'bf16' | 'q8_0';

/** GGUF's numbers of value types. */
export const U32 = 4,
  I32 = 5,
  F32 = 6,
  BOOL = 7,
  STRING = 8,
  ARRAY = 9;
export const ALIGNMENT = 32; // bytes
/** ggml's number of a tensor type, and of a file that is mostly of that type. */
export const GGML_TYPE: Record<GgufType, number> = { f32: 0, f16: 1, bf16: 30, q8_0: 8 };
export const FILE_TYPE: Record<GgufType, number> = { f32: 0, f16: 1, bf16: 32, q8_0: 7 };

/** Hugging Face names and llama.cpp's, in the order they are written; L is the layer. */
export const NAMES: [huggingFace: string, gguf: string][] = [
  ['model.embed_tokens', 'token_embd'],
  ['model.layers.L.input_layernorm', 'blk.L.attn_norm'],
  ['model.layers.L.self_attn.q_proj', 'blk.L.attn_q'],
  ['model.layers.L.self_attn.k_proj', 'blk.L.attn_k'],
  ['model.layers.L.self_attn.v_proj', 'blk.L.attn_v'],
  ['model.layers.L.self_attn.o_proj', 'blk.L.attn_output'],
  ['model.layers.L.self_attn.q_norm', 'blk.L.attn_q_norm'],
  ['model.layers.L.self_attn.k_norm', 'blk.L.attn_k_norm'],
  ['model.layers.L.post_attention_layernorm', 'blk.L.ffn_norm'],
  ['model.layers.L.mlp.gate_proj', 'blk.L.ffn_gate'],
  ['model.layers.L.mlp.up_proj', 'blk.L.ffn_up'],
  ['model.layers.L.mlp.down_proj', 'blk.L.ffn_down'],
  ['model.norm', 'output_norm'],
  ['lm_head', 'output'],
];

/** Linear layers that llama.cpp gives a bias, where the model has one. */
export const BIASES: Record<string, RegExp> = { llama: /_proj$/, qwen2: /\.[qkv]_proj$/, qwen3: /^$/ };

export type Rope = { type: string; theta: number; number: (field: string, otherwise?: number) => number };

/** Rotary settings of either spelling: rope_theta with rope_scaling, or transformers 5's rope_parameters. */
export function readRope(config: Record<string, unknown>, path: string): Rope {
  const fields = (config.rope_parameters ?? config.rope_scaling ?? {}) as Record<string, unknown>;
  const type = String(fields.rope_type ?? fields.type ?? 'default');
  const refused: [bad: boolean, what: string][] = [
    [!['default', 'linear', 'llama3', 'yarn'].includes(type), `rope scaling ${type}`],
    [
      ['attention_factor', 'mscale', 'mscale_all_dim', 'beta_fast', 'beta_slow', 'truncate'].some((f) => fields[f] != null),
      `rope scaling with ${Object.keys(fields).join(', ')}`,
    ],
    [(config.partial_rotary_factor ?? fields.partial_rotary_factor ?? 1) !== 1, 'partial_rotary_factor'],
    [(config.hidden_act ?? 'silu') !== 'silu', `hidden_act ${String(config.hidden_act)}`],
    [config.use_sliding_window === true, 'use_sliding_window'],
  ];
  for (const [bad, what] of refused) {
    if (bad)
      throw new Error(`cannot write ${path}: ${what} in config.json has no counterpart in this GGUF writer; export safetensors instead`);
  }
  const theta = fields.rope_theta ?? config.rope_theta ?? 10000;
  return {
    type,
    theta: theta as number,
    number: (field, otherwise) => {
      const value = fields[field] ?? otherwise;
      if (typeof value === 'number' && value > 0) return value;
      throw new Error(`cannot write ${path}: config.json has rope ${field} = ${JSON.stringify(value)}; expected a number above 0`);
    },
  };
}

/** What llama.cpp divides each rotary frequency by (headDim / 2 of them), for Llama 3.1's scaling. */
export function llama3Factors(rope: Rope, headDim: number): Float32Array {
  const factor = rope.number('factor', 8);
  const low = rope.number('low_freq_factor', 1);
  const high = rope.number('high_freq_factor', 4);
  const context = rope.number('original_max_position_embeddings', 8192);
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * rope.theta ** ((2 * i) / headDim);
    if (wavelength < context / high) return 1;
    if (wavelength > context / low) return factor;
    const smooth = (context / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/**
 * Rows of each head in llama.cpp's rotary order: Hugging Face rotates row i with row i + D/2, ggml's Llama rotates neighbours,
 * so row (half, i) goes to (i, half).
 */
export function interleave(values: Float32Array, shape: number[], heads: number): Float32Array {
  return transposeHeadRows(values, shape, heads, 2, shape[0] / heads / 2);
}

/** Hugging Face's order again: the inverse of interleave. */
export function deinterleave(values: Float32Array, shape: number[], heads: number): Float32Array {
  return transposeHeadRows(values, shape, heads, shape[0] / heads / 2, 2);
}

/** Each head's rows, taken for a matrix of `outer` by `inner` rows, in the order of its transpose. */
function transposeHeadRows(values: Float32Array, shape: number[], heads: number, outer: number, inner: number): Float32Array {
  const out = new Float32Array(values.length);
  const columns = shape.length > 1 ? shape[1] : 1;
  for (let head = 0; head < heads; head++) {
    const first = head * outer * inner;
    for (let i = 0; i < outer; i++) {
      for (let j = 0; j < inner; j++) {
        const from = (first + i * inner + j) * columns;
        out.set(values.subarray(from, from + columns), (first + j * outer + i) * columns);
      }
    }
  }
  return out;
}
