/**
 * From the corpus to an untrained model folder: trains the byte-level BPE tokenizer and writes config.json (Llama family, about
 * 5.8 million parameters) beside it. Weights are drawn by `attune train resources/recipes/pretrain.yaml` (fromScratch: true).
 *
 *   node scripts/resources/corpus.ts && node scripts/resources/build-model.ts
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { trainBpe } from '../../src/engine/tokenizer/train-bpe.ts';

const CORPUS = 'build/embedded/corpus.jsonl';
const OUT = 'build/embedded/init';
const END_OF_TEXT = '<|endoftext|>';
const TURN_START = '<|im_start|>';
const TURN_END = '<|im_end|>';

export const CHAT_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

export function modelConfig(vocabSize: number): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 256,
    intermediate_size: 768,
    num_hidden_layers: 6,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 64,
    hidden_act: 'silu',
    max_position_embeddings: 512,
    rope_theta: 10000,
    rms_norm_eps: 1e-5,
    initializer_range: 0.02,
    attention_bias: false,
    mlp_bias: false,
    attention_dropout: 0,
    tie_word_embeddings: true,
    vocab_size: vocabSize,
    bos_token_id: null,
    eos_token_id: 0,
    pad_token_id: 0,
    torch_dtype: 'bfloat16',
  };
}

/** Weights of that config, the head tied to the embedding. */
export function parameterCount(config: Record<string, unknown>): number {
  const [c, f, l, h, k, d, v] = [
    'hidden_size',
    'intermediate_size',
    'num_hidden_layers',
    'num_attention_heads',
    'num_key_value_heads',
    'head_dim',
    'vocab_size',
  ].map((key) => config[key] as number);
  return v * c + l * (c * h * d * 2 + c * k * d * 2 + 3 * c * f + 2 * c) + c;
}

function* corpusTexts(): Generator<string> {
  for (const line of readFileSync(CORPUS, 'utf8').split('\n')) if (line) yield (JSON.parse(line) as { text: string }).text;
  // Every conversation begins its turns with these.
  for (let i = 0; i < 2000; i++) yield 'user\nassistant\n';
}

if (import.meta.main) {
  const specialTokens = [END_OF_TEXT, TURN_START, TURN_END];
  const tokenizer = trainBpe(corpusTexts(), { vocabSize: 4096, specialTokens });
  const vocabSize = Object.keys(tokenizer.model.vocab).length;
  const config = modelConfig(vocabSize);
  mkdirSync(OUT, { recursive: true });
  const json = (name: string, value: unknown): void => writeFileSync(join(OUT, name), `${JSON.stringify(value, null, 2)}\n`);
  json('tokenizer.json', tokenizer);
  json('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: null,
    eos_token: END_OF_TEXT,
    pad_token: END_OF_TEXT,
    unk_token: null,
    add_bos_token: false,
    add_prefix_space: false,
    clean_up_tokenization_spaces: false,
    model_max_length: 512,
    chat_template: CHAT_TEMPLATE,
  });
  json('special_tokens_map.json', { eos_token: END_OF_TEXT, pad_token: END_OF_TEXT, additional_special_tokens: [TURN_START, TURN_END] });
  json('config.json', config);
  // Either token ends an answer: the base, which knows no turns, closes its texts with <|endoftext|>.
  json('generation_config.json', { eos_token_id: [2, 0], pad_token_id: 0 });
  console.log(`${OUT}: vocabulary ${vocabSize}, ${(parameterCount(config) / 1e6).toFixed(2)} million parameters`);
  console.log('next: npx attune train resources/recipes/pretrain.yaml');
}
