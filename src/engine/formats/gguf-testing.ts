/** For tests only: a tiny model of every family llama.cpp runs, with random weights, as a folder and as a GGUF file. Mixtures also with fused experts. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseModelConfig } from '../model/config.ts';
import { buildWeights, drawParameter, isTransposed, transposed } from '../model/parameters.ts';
import type { GgufType } from './gguf-layout.ts';
import type { GgufAbout } from './gguf-name.ts';
import { writeGguf } from './gguf.ts';
import { writeJsonFile } from './json.ts';
import { openModelFolder, writeModelFolder } from './model-folder.ts';
import { type TensorSource, writeSafetensors } from './safetensors.ts';

const VOCABULARY = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));

const common = { vocab_size: 300, hidden_size: 64, intermediate_size: 96, num_hidden_layers: 4, num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 128, initializer_range: 0.2 };
const rope = (fields: Record<string, unknown>) => ({ rope_parameters: { rope_theta: 1000, ...fields } });
const gemma = { ...common, head_dim: 32, query_pre_attn_scalar: 32, rms_norm_eps: 1e-6, sliding_window: 16 };

/** config.json of each; where a trait shows, it is there. */
export const tinyConfigs: Record<string, Record<string, unknown>> = {
  llama: { ...common, architectures: ['LlamaForCausalLM'], attention_bias: true, mlp_bias: true },
  'llama-linear': { ...common, architectures: ['LlamaForCausalLM'], tie_word_embeddings: true, ...rope({ rope_type: 'linear', factor: 4 }) },
  'llama-yarn': { ...common, architectures: ['LlamaForCausalLM'], ...rope({ rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32 }) },
  'llama-3.1': {
    ...common, architectures: ['LlamaForCausalLM'], head_dim: 32,
    ...rope({ rope_theta: 500000, rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 }),
  },
  mistral: { ...common, architectures: ['MistralForCausalLM'], sliding_window: 64, head_dim: 32 },
  qwen2: { ...common, architectures: ['Qwen2ForCausalLM'], tie_word_embeddings: true },
  qwen3: { ...common, architectures: ['Qwen3ForCausalLM'], head_dim: 32 },
  mixtral: { ...common, architectures: ['MixtralForCausalLM'], num_local_experts: 8, num_experts_per_tok: 2, sliding_window: 64 },
  'qwen2-moe': {
    ...common, architectures: ['Qwen2MoeForCausalLM'], num_experts: 6, num_experts_per_tok: 3, moe_intermediate_size: 32, shared_expert_intermediate_size: 64,
  },
  'qwen3-moe': { ...common, architectures: ['Qwen3MoeForCausalLM'], head_dim: 32, num_experts: 5, num_experts_per_tok: 2, moe_intermediate_size: 64, norm_topk_prob: true },
  smollm3: { ...common, architectures: ['SmolLM3ForCausalLM'], no_rope_layer_interval: 4 },
  gemma: { ...common, architectures: ['GemmaForCausalLM'], head_dim: 32 },
  gemma2: { ...gemma, architectures: ['Gemma2ForCausalLM'], attn_logit_softcapping: 20, final_logit_softcapping: 10 },
  gemma3: {
    ...gemma, architectures: ['Gemma3ForCausalLM'], num_hidden_layers: 7, final_logit_softcapping: null,
    rope_parameters: { full_attention: { rope_type: 'linear', factor: 4, rope_theta: 100000 }, sliding_attention: { rope_type: 'default', rope_theta: 500 } },
  },
  'gemma3-own-pattern': {
    ...gemma, architectures: ['Gemma3ForCausalLM'], final_logit_softcapping: 9, layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
  },
  phi3: { ...common, architectures: ['Phi3ForCausalLM'], sliding_window: null, original_max_position_embeddings: 128, ...rope({ partial_rotary_factor: 0.75, rope_type: 'default' }), hidden_size: 128 },
  'phi3-longrope': {
    ...common, architectures: ['Phi3ForCausalLM'], sliding_window: 100, max_position_embeddings: 512, original_max_position_embeddings: 256,
    ...rope({ rope_type: 'longrope', short_factor: [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], long_factor: [1, 2, 3, 4, 5, 6, 7, 8] }),
  },
  olmo2: { ...common, architectures: ['Olmo2ForCausalLM'] },
  stablelm: { ...common, architectures: ['StableLmForCausalLM'], use_qkv_bias: true, layer_norm_eps: 1e-5, partial_rotary_factor: 0.25, hidden_size: 128 },
  'stablelm-parallel': { ...common, architectures: ['StableLmForCausalLM'], use_parallel_residual: true, layer_norm_eps: 1e-5, ...rope({ partial_rotary_factor: 0.5, rope_type: 'default' }) },
  neox: { ...common, num_key_value_heads: undefined, architectures: ['GPTNeoXForCausalLM'], layer_norm_eps: 1e-5, rotary_pct: 0.5, use_parallel_residual: true },
  'neox-sequential': { ...common, num_key_value_heads: undefined, architectures: ['GPTNeoXForCausalLM'], layer_norm_eps: 1e-5, rotary_pct: 1, use_parallel_residual: false },
  gpt2: { architectures: ['GPT2LMHeadModel'], vocab_size: 300, n_embd: 64, n_layer: 4, n_head: 4, n_positions: 128, n_inner: 96, initializer_range: 0.2, tie_word_embeddings: true },
};

export const about = (name: string): GgufAbout => ({ name, baseName: name, parameters: 100000 });

/** A folder under `root` with tensors as Hugging Face keeps them: matrices random, norms and biases too. */
export async function tinyFolder(root: string, name: string, config = tinyConfigs[name]!): Promise<string> {
  const folder = join(root, name);
  await mkdir(folder, { recursive: true });
  const parsed = parseModelConfig(config, name);
  const tensors: TensorSource[] = [];
  buildWeights(parsed, (tensor, shape) => {
    if (tensors.some((known) => known.name === tensor)) return undefined as never;
    const length = shape.reduce((a, b) => a * b, 1);
    // a tenth about what a new model has, so that no norm and no bias is lost unseen
    const drawn = drawParameter({ ...parsed, initializerRange: 0.1 }, `${tensor}.drawn`, length, 7);
    const values = shape.length > 1 ? drawParameter(parsed, tensor, length, 3) : drawParameter(parsed, tensor, length, 3).map((x, i) => x + drawn[i]!);
    const flipped = isTransposed(parsed, tensor, shape);
    tensors.push({ name: tensor, shape: flipped ? [...shape].reverse() : shape, dtype: 'F32', read: async () => (flipped ? transposed(values, shape[0]!, shape[1]!) : values) });
    return undefined as never;
  });
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  await writeJsonFile(join(folder, 'config.json'), config);
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(VOCABULARY, file), join(folder, file));
  await writeFile(join(folder, 'chat_template.jinja'), "{% for message in messages %}{{ message['content'] }}{% endfor %}");
  return folder;
}

/** With all experts of a layer in two tensors, as transformers 5 holds them. */
export async function fusedFolder(root: string, single: string): Promise<string> {
  const model = await openModelFolder(single);
  const names = [...model.tensors.keys()];
  const tensors: TensorSource[] = names.filter((name) => !name.includes('.experts.')).map((name) => ({ name, shape: model.tensors.get(name)!.shape, dtype: 'F32', read: () => model.read(name) }));
  const layers = new Set(names.flatMap((name) => /^(.+)\.0\.up_proj\.weight$/.exec(name)?.[1] ?? []));
  for (const at of layers) {
    const count = names.filter((name) => name.startsWith(`${at}.`) && name.endsWith('.up_proj.weight')).length;
    for (const [name, parts] of [['gate_up_proj', ['gate_proj', 'up_proj']], ['down_proj', ['down_proj']]] as const) {
      const pieces = Array.from({ length: count }, (_, e) => parts.map((part) => `${at}.${e}.${part}.weight`)).flat();
      const [rows, columns] = model.tensors.get(pieces[0]!)!.shape as [number, number];
      const read = async () => Float32Array.from((await Promise.all(pieces.map((piece) => model.read(piece)))).flatMap((values) => [...values]));
      tensors.push({ name: `${at}.${name}`, shape: [count, rows * parts.length, columns], dtype: 'F32', read });
    }
  }
  const out = join(root, 'fused');
  await writeModelFolder(out, { config: model.config, generationConfig: null, tensors, copyFrom: single });
  await model.close();
  return out;
}

/** The folder's GGUF file. */
export async function ggufOf(folder: string, type: GgufType): Promise<string> {
  const path = `${folder}-${type}.gguf`;
  const model = await openModelFolder(folder);
  const tensors = [...model.tensors.values()].map(({ name, shape }): TensorSource => ({ name, shape, dtype: 'F32', read: () => model.read(name) }));
  await writeGguf(path, { config: model.config, tokenizerFolder: folder, about: about('tiny'), type, tensors }).finally(() => model.close());
  return path;
}
