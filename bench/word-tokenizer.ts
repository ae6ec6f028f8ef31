/** A tokenizer of any size that needs no file, for what is measured over a vocabulary. It does not encode. */
import { createTokenizer, type Tokenizer } from '../src/engine/tokenizer/tokenizer.ts';

/** A byte-level vocabulary of the given size: all bytes, then words of two to nine letters with and without a space before, as real ones mostly are. */
export function wordTokenizer(size: number): Tokenizer {
  const letters = 'etaoinshrdlcumwfgypbvk';
  const vocab: Record<string, number> = { '<|end|>': 0 };
  for (let byte = 0, other = 0x100; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    vocab[String.fromCodePoint(printable ? byte : other++)] = byte + 1;
  }
  let count = 257;
  for (let i = 0; count < size; i++) {
    let word = i % 2 === 0 ? 'Ġ' : '';
    for (let x = i, length = 2 + (i % 8); length > 0; length--) word += letters[(x = (Math.imul(x, 48271) + 11) >>> 0) % letters.length];
    if (vocab[word] === undefined) vocab[word] = count++;
  }
  const json = { model: { type: 'BPE', vocab, merges: [] }, decoder: { type: 'ByteLevel' }, pre_tokenizer: { type: 'ByteLevel' }, added_tokens: [{ id: 0, content: '<|end|>', special: true }] };
  return createTokenizer(json, { eos_token: '<|end|>' }, { where: 'bench', eos: [], chatTemplate: null });
}
