/** Parameters and operations of published mixtures of experts, by their config.json; memory is held against real runs in src/main/runs/estimate.test.ts. */
import { expect, test } from 'vitest';
import { activeParameters, countParameters, rowFlops, type Shapes } from './cost.ts';
import { parseModelConfig } from './model/config.ts';

const shapes = (config: Record<string, unknown>): Shapes => ({ config: parseModelConfig(config, 'config.json'), lora: null, headOnly: false, gradientCheckpointing: false, bf16: false });

const MIXTRAL = {
  architectures: ['MixtralForCausalLM'], vocab_size: 32000, hidden_size: 4096, intermediate_size: 14336, num_hidden_layers: 32, num_attention_heads: 32,
  num_key_value_heads: 8, num_local_experts: 8, num_experts_per_tok: 2, max_position_embeddings: 32768,
};
const QWEN2_MOE = {
  architectures: ['Qwen2MoeForCausalLM'], vocab_size: 151936, hidden_size: 2048, intermediate_size: 5632, num_hidden_layers: 24, num_attention_heads: 16,
  num_key_value_heads: 16, num_experts: 60, num_experts_per_tok: 4, moe_intermediate_size: 1408, shared_expert_intermediate_size: 5632,
};
const QWEN3_MOE = {
  architectures: ['Qwen3MoeForCausalLM'], vocab_size: 151936, hidden_size: 2048, intermediate_size: 6144, num_hidden_layers: 48, num_attention_heads: 32,
  num_key_value_heads: 4, head_dim: 128, num_experts: 128, num_experts_per_tok: 8, moe_intermediate_size: 768, norm_topk_prob: true,
};

// Totals are those of the published weights (Mixtral-8x7B 46.7 B, Qwen1.5-MoE-A2.7B 14.3 B, Qwen3-30B-A3B 30.5 B); active ones follow, less (E − K) / E of the experts:
// Mixtral: 32 layers · 6 idle experts · 3 · 4096 · 14336; Qwen2-MoE: 24 · 56 · 3 · 2048 · 1408; Qwen3-MoE: 48 · 120 · 3 · 2048 · 768
test.each([
  ['Mixtral-8x7B', MIXTRAL, 46_702_792_704, 32 * 6 * 3 * 4096 * 14336],
  ['Qwen1.5-MoE-A2.7B', QWEN2_MOE, 14_315_784_192, 24 * 56 * 3 * 2048 * 1408],
  ['Qwen3-30B-A3B', QWEN3_MOE, 30_532_122_624, 48 * 120 * 3 * 2048 * 768],
])('%s has as many parameters as its weights, and a token goes through fewer', (_, config, total, idle) => {
  const { base, active } = countParameters(shapes(config));
  expect(base).toBe(total);
  expect(active).toBe(total - idle);
  expect(activeParameters(shapes(config).config)).toBe(active);
});

test('a dense model has no other count of active ones', () => {
  expect(activeParameters(shapes({ ...MIXTRAL, architectures: ['MistralForCausalLM'] }).config)).toBeNull();
});

test('operations are those of the experts a token goes through', () => {
  // one token, no pairs of note: 2 a weight of all linears and routers, K experts of E among them
  const flops = rowFlops(shapes(MIXTRAL), [1, 0], true);
  const attention = 4096 * 4096 * 2 + 4096 * 1024 * 2;
  expect(flops).toBe(32 * (2 * (attention + 2 * 3 * 4096 * 14336 + 8 * 4096) + 4 * 4096));
});
