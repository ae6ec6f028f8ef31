/**
 * The bytes a token adds to a text, as its decoder writes them: byte-level vocabularies (GPT-2, Llama 3, Qwen) spell bytes with printable letters,
 * SentencePiece's write a space as ▁ and single bytes as <0x0A>. What a decoder takes from the start of a text is not seen here.
 */

type AddedToken = { id: number; content: string; special?: boolean };

/** Null for control tokens and for ids without a token. `vocab`: token strings by id. */
export function tokenBytesOf(json: Record<string, unknown>, added: AddedToken[], vocab: readonly (string | undefined)[]): (id: number) => Uint8Array | null {
  const addedById = new Map(added.map((token) => [token.id, token]));
  const byteLevel = JSON.stringify(json.decoder ?? null).includes('"ByteLevel"');
  const encoder = new TextEncoder();
  return (id) => {
    const token = addedById.get(id);
    if (token?.special) return null;
    if (token) return encoder.encode(token.content);
    const string = vocab[id];
    if (string === undefined) return null;
    if (byteLevel) {
      const bytes = Array.from(string, (letter) => BYTE_OF_LETTER.get(letter));
      return bytes.some((byte) => byte === undefined) ? null : Uint8Array.from(bytes as number[]);
    }
    const byte = /^<0x([0-9A-F]{2})>$/.exec(string);
    return byte ? Uint8Array.of(parseInt(byte[1], 16)) : encoder.encode(string.replaceAll('▁', ' '));
  };
}

/** GPT-2's letters: printable Latin-1 stands for itself, the others in order from U+0100. */
const BYTE_OF_LETTER = new Map<string, number>();
for (let byte = 0, next = 0x100; byte < 256; byte++) {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  BYTE_OF_LETTER.set(String.fromCodePoint(printable ? byte : next++), byte);
}
