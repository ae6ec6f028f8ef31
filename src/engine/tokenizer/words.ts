/**
 * Texts cut into words of which each is tokenised once and remembered: natural text repeats its words, so that is what makes encoding quick.
 * Only where the words cannot influence each other: byte-level BPE behind one regular expression, and SentencePiece-like BPE none of whose
 * tokens goes on past a space. All other tokenizers go the library's way whole.
 */

type Part = { type: string; [field: string]: unknown };
type Json = { model: unknown; pre_tokenizer?: unknown };

/** Cuts a normalised text into words, and gives the form a word has in the vocabulary. */
export type Words = { cut(text: string): string[]; form(word: string): string };

/** Of ByteLevel's own regular expression, which is GPT-2's. */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const MOST_WORDS = 1 << 16;

/** Null where words may influence each other. */
export function wordsOf(json: Json): Words | null {
  const model = json.model as { type?: string; byte_fallback?: boolean; vocab: Record<string, number> };
  if (model.type !== undefined && model.type !== 'BPE') return null;
  const steps = flatten(json.pre_tokenizer as Part | null | undefined);
  const last = steps.at(-1);
  if (steps.length === 0 && model.byte_fallback === true) return spaced(model.vocab);
  if (last?.type !== 'ByteLevel' || last.add_prefix_space !== false || steps.length > 2) return null;
  const split = steps.length === 2 ? steps[0]! : null;
  if (split === null) return last.use_regex === false ? null : byRegex(GPT2);
  const regex = (split.pattern as { Regex?: unknown } | undefined)?.Regex;
  if (split.type !== 'Split' || split.behavior !== 'Isolated' || split.invert === true || last.use_regex !== false || typeof regex !== 'string') return null;
  return byRegex(regex);
}

const flatten = (part: Part | null | undefined): Part[] => (!part ? [] : part.type === 'Sequence' ? (part.pretokenizers as Part[]).flatMap(flatten) : [part]);

function byRegex(source: string): Words | null {
  const translated = unicodeSpaces(source);
  let regex: RegExp;
  try {
    if (translated === null) return null;
    regex = new RegExp(translated, 'gu');
  } catch {
    return null; // Oniguruma's, which the library translates
  }
  return {
    cut(text) {
      const all = text.match(regex) ?? [];
      if (all.reduce((sum, word) => sum + word.length, 0) === text.length) return all;
      const words: string[] = []; // some of the text is in no match: those parts are words, too
      let end = 0;
      for (const { 0: word, index } of text.matchAll(regex)) {
        if (index > end) words.push(text.slice(end, index));
        words.push(word);
        end = index + word.length;
      }
      if (end < text.length) words.push(text.slice(end));
      return words;
    },
    form: bytesAsLetters,
  };
}

/** Unicode's white space, which is not quite JavaScript's: with U+0085, without U+FEFF. */
const SPACES = '\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

/** The expression with \s and \S as the reference's engine means them; null where that cannot be said by a class in its place. */
function unicodeSpaces(source: string): string | null {
  let out = '';
  let inClass = false;
  for (let i = 0; i < source.length; i++) {
    const two = source.slice(i, i + 2);
    if (two === '\\s') out += inClass ? SPACES : `[${SPACES}]`;
    else if (two === '\\S' && inClass) return null;
    else if (two === '\\S') out += `[^${SPACES}]`;
    else if (two[0] === '\\') out += two;
    else {
      if (two[0] === '[') inClass = true;
      else if (two[0] === ']') inClass = false;
      out += two[0];
      continue;
    }
    i++;
  }
  return out;
}

/** Words begin where ▁ follows something else; a token that has such a place inside would be lost. */
function spaced(vocab: Record<string, number>): Words | null {
  for (const token of Object.keys(vocab)) if (/[^▁]▁/.test(token)) return null;
  return { cut: (text) => text.match(/▁*[^▁]+|▁+/g) ?? [], form: (word) => word };
}

/** GPT-2's letters of the 256 bytes: printable ones stand for themselves, the others follow from U+0100 on. */
const LETTERS = (() => {
  const printable = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();

function bytesAsLetters(word: string): string {
  let letters = '';
  for (let i = 0; i < word.length; i++) {
    const code = word.charCodeAt(i);
    if (code < 0x80) letters += LETTERS[code]!;
    else return lettersOf(Buffer.from(word, 'utf8'));
  }
  return letters;
}

function lettersOf(bytes: Uint8Array): string {
  let letters = '';
  for (const byte of bytes) letters += LETTERS[byte]!;
  return letters;
}

/** Tokens of a normalised text, by way of a memory of words. */
export function rememberWords({ cut, form }: Words, tokenise: (form: string) => string[]): (text: string) => string[] {
  const known = new Map<string, string[]>();
  return (text) => {
    const tokens: string[] = [];
    for (const word of cut(text)) {
      let made = known.get(word);
      if (made === undefined) {
        made = tokenise(form(word));
        if (known.size >= MOST_WORDS) known.clear(); // a long text of unheard words must not fill the memory
        known.set(word, made);
      }
      for (const token of made) tokens.push(token);
    }
    return tokens;
  };
}
