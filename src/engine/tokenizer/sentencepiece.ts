/**
 * SentencePiece's own file, tokenizer.model, as the tokenizer.json transformers would make of it: for folders that have no other.
 * A protocol buffer, of which only the pieces and what decides ids are read. Follows sentencepiece_model.proto and transformers'
 * LlamaConverter; nothing a length says is believed before it is held against the file.
 */
import { mergesOf, sentencePiece, startsWith } from '../formats/gguf-vocabulary.ts';

const UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4;
const UNIGRAM = 1, BPE = 2;

/** Fields of one message, by number: bytes of what has a length, numbers of the rest. */
type Message = Map<number, (Uint8Array | number)[]>;

/** @param settings tokenizer_config.json, {} where there is none */
export function sentencePieceTokenizer(file: Uint8Array, settings: Record<string, unknown>, path: string): { json: Record<string, unknown>; config: Record<string, unknown> } {
  const model = parse(file, path);
  const message = (number: number): Message => {
    const bytes = model.get(number)?.[0];
    return bytes instanceof Uint8Array ? parse(bytes, path) : new Map<number, (Uint8Array | number)[]>();
  };
  const [trainer, normalizer] = [message(2), message(3)];
  const pieces = (model.get(1) ?? []).map((bytes) => {
    const piece = bytes instanceof Uint8Array ? parse(bytes, path) : new Map<number, (Uint8Array | number)[]>();
    const text = piece.get(1)?.[0];
    return { text: text instanceof Uint8Array ? Buffer.from(text).toString('utf8') : '', score: number(piece, 2, 0), type: number(piece, 3, 1) };
  });
  if (pieces.length === 0) throw new Error(`${path}: it holds no pieces; download it again`);
  const kind = number(trainer, 3, UNIGRAM);
  if (kind !== BPE && kind !== UNIGRAM) throw new Error(`${path}: its model type is ${kind}; read are unigram (1) and BPE (2)`);

  if (number(trainer, 24, 0) === 1) throw new Error(`${path}: treat_whitespace_as_suffix is on; only pieces with their space before them are supported`);

  const tokens = pieces.map(({ text }) => text);
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const unknown = pieces.findIndex(({ type }) => type === UNKNOWN);
  const byteFallback = number(trainer, 35, 0) === 1;
  const [types, scores] = [pieces.map(({ type }) => type), pieces.map(({ score }) => score)];
  const at = (field: number, fallback: number) => tokens[number(trainer, field, fallback)];
  const config = Object.fromEntries(
    Object.entries({ unk_token: tokens[unknown], bos_token: at(41, 1), eos_token: at(42, 2), pad_token: at(43, -1), ...settings }).filter(([, token]) => token !== undefined),
  );
  const steps = sentencePiece(number(normalizer, 3, 1) === 1);
  const bos = config.bos_token as string | { content: string } | null | undefined;
  const first = typeof bos === 'object' ? bos?.content : bos;
  return {
    config,
    json: {
      model: kind === BPE
        ? { type: 'BPE', unk_token: tokens[unknown], fuse_unk: true, byte_fallback: byteFallback, vocab, merges: mergesOf(tokens, types, scores) }
        : { type: 'Unigram', unk_id: unknown, byte_fallback: byteFallback, vocab: pieces.map(({ text, score, type }) => [type === CONTROL || type === UNKNOWN ? unfindable(text) : text, score]) },
      added_tokens: pieces.flatMap(({ text, type }, id) => (type === UNKNOWN || type === CONTROL || type === USER_DEFINED
        ? [{ id, content: text, special: type !== USER_DEFINED, single_word: false, lstrip: false, rstrip: false, normalized: false }] : [])),
      ...steps,
      normalizer: { type: 'Sequence', normalizers: [...cleaning(normalizer), ...((steps.normalizer as { normalizers: object[] }).normalizers)] },
      post_processor: settings.add_bos_token !== false && first && Object.hasOwn(vocab, first) ? startsWith(first, vocab[first]!) : null,
    },
  };
}

/** A control or unknown token as no text has it: its own string comes from added_tokens, and a text that spells it out is only text. */
const unfindable = (token: string) => `\uE000${token}`;

/** What SentencePiece does to a text before it looks for pieces: its table of characters, and one space for several. */
function cleaning(normalizer: Message): object[] {
  const table = normalizer.get(2)?.[0];
  const spaces = number(normalizer, 4, 1) === 1;
  return [
    ...(table instanceof Uint8Array && table.length > 0 ? [{ type: 'Precompiled', precompiled_charsmap: Buffer.from(table).toString('base64') }] : []),
    ...(spaces ? [{ type: 'Replace', pattern: { Regex: '\\A +| +\\z' }, content: '' }, { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }] : []),
  ];
}

function number(message: Message, field: number, fallback: number): number {
  const value = message.get(field)?.at(-1);
  return typeof value === 'number' ? value : fallback;
}

function parse(bytes: Uint8Array, path: string): Message {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const message: Message = new Map();
  let at = 0;
  const need = (count: number): number => {
    if (count < 0 || at + count > bytes.length) throw new Error(`${path}: it ends in the middle of a field, so it is cut off or no SentencePiece model; download it again`);
    return (at += count) - count;
  };
  /** Low 32 bits, signed: ids, kinds and flags are no larger, and −1 is ten bytes long. */
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[need(1)]!;
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
      if (shift > 63) throw new Error(`${path}: a number in it does not end, so it is damaged; download it again`);
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const [field, kind] = [key >>> 3, key & 7];
    let value: Uint8Array | number;
    if (kind === 0) value = varint();
    else if (kind === 1) value = view.getFloat64(need(8), true);
    else if (kind === 5) value = view.getFloat32(need(4), true);
    else if (kind === 2) {
      const length = varint();
      const from = need(length);
      value = bytes.subarray(from, from + length);
    } else throw new Error(`${path}: field ${field} has wire type ${kind}, so it is damaged or no SentencePiece model; download it again`);
    if (!message.has(field)) message.set(field, []);
    message.get(field)!.push(value);
  }
  return message;
}
