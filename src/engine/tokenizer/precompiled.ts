/**
 * SentencePiece's table of characters (precompiled_charsmap): what each becomes before pieces are looked for. A double-array trie of bytes
 * (darts-clone) whose values are places in a list of texts. Read as Rust's tokenizers reads it: by grapheme where one is shorter than six
 * bytes, else by character, and the shortest entry that fits. Nothing in the table is believed before it is held against its length.
 */

const GRAPHEMES = new Intl.Segmenter('en', { granularity: 'grapheme' });

export class Precompiled {
  readonly #units: Uint32Array;
  readonly #texts: Uint8Array;
  readonly #known = new Map<string, string>();

  /** @param table bytes of the trie, the trie, then texts that end with a zero byte */
  constructor(table: Uint8Array) {
    const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
    const bytes = table.length < 4 ? -1 : view.getUint32(0, true);
    if (bytes < 4 || bytes % 4 !== 0 || 4 + bytes > table.length) throw new Error('precompiled_charsmap is damaged');
    this.#units = Uint32Array.from({ length: bytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#texts = table.subarray(4 + bytes);
  }

  normalize(text: string): string {
    let out = '';
    for (const { segment } of GRAPHEMES.segment(text)) {
      let became = this.#known.get(segment);
      if (became === undefined) {
        became = this.#grapheme(segment);
        if (this.#known.size < 100_000) this.#known.set(segment, became);
      }
      out += became;
    }
    return out;
  }

  #grapheme(grapheme: string): string {
    const bytes = Buffer.from(grapheme, 'utf8');
    const whole = bytes.length < 6 ? this.#find(bytes) : null;
    return whole ?? Array.from(grapheme, (character) => this.#find(Buffer.from(character, 'utf8')) ?? character).join('');
  }

  /** What the shortest entry that these bytes begin with becomes; null: there is none. */
  #find(bytes: Uint8Array): string | null {
    const units = this.#units;
    const offset = (unit: number): number => ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0;
    let at = offset(units[0]!);
    for (const byte of bytes) {
      at = (at ^ byte) >>> 0;
      const unit = units[at];
      if (byte === 0 || unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return null;
      at = (at ^ offset(unit)) >>> 0;
      if ((unit & 0x100) === 0) continue;
      const from = (units[at] ?? 0) & 0x7fffffff;
      const end = this.#texts.indexOf(0, from);
      return Buffer.from(this.#texts.subarray(from, end < 0 ? undefined : end)).toString('utf8');
    }
    return null;
  }
}
