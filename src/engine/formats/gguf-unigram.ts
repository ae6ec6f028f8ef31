/**
 * What llama.cpp asks of a Unigram tokenizer (its kind t5, after SentencePiece's unigram models) beside pieces and scores: whether a space goes
 * before the text, whether spaces are gathered, and SentencePiece's table of normal forms. Other steps of a tokenizer.json are refused.
 */
import { type GgufValue, parts, type TokenizerJson } from './gguf-tokenizer.ts';

export function unigramEntries(json: TokenizerJson, fail: (what: string) => never): [string, GgufValue][] {
  // an unknown character is one <unk> there, never its bytes
  if (json.model.byte_fallback === true) fail("byte_fallback has no counterpart in llama.cpp's Unigram tokenizer; export safetensors instead");
  let [prefix, gathered, table]: [boolean, boolean, string | null] = [false, false, null];
  for (const step of [...parts(json.normalizer, 'normalizers'), ...parts(json.pre_tokenizer, 'pretokenizers')]) {
    const pattern = (step.pattern ?? {}) as { String?: string; Regex?: string };
    if (step.type === 'Precompiled') table = String(step.precompiled_charsmap);
    else if (step.type === 'WhitespaceSplit' || (step.type === 'Replace' && pattern.Regex === ' {2,}')) gathered = true;
    else if (step.type === 'Prepend' && step.prepend === '▁') prefix = true;
    else if (step.type === 'Metaspace' && step.replacement === '▁') prefix ||= (step.prepend_scheme ?? (step.add_prefix_space === false ? 'never' : 'always')) !== 'never';
    // NFC is let through as of BPE; Strip comes with the gathering of spaces, by which llama.cpp drops those at either end too
    else if (!(step.type === 'Replace' && pattern.String === ' ' && step.content === '▁') && step.type !== 'NFC' && step.type !== 'Strip') {
      fail(`its ${step.type} step has no counterpart in llama.cpp's Unigram tokenizer; export safetensors instead`);
    }
  }
  return [
    ['tokenizer.ggml.add_space_prefix', { bool: prefix }],
    ['tokenizer.ggml.remove_extra_whitespaces', { bool: gathered }],
    ...(table === null ? [] : [['tokenizer.ggml.precompiled_charsmap', { bytes: Buffer.from(table, 'base64') }] satisfies [string, GgufValue]]),
  ];
}
