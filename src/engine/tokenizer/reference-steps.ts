/**
 * Steps before the merges as the reference, Rust's tokenizers, takes them, where @huggingface/tokenizers takes them otherwise: what is
 * whitespace or punctuation, how a Split joins its pieces, a Precompiled table of characters (SentencePiece's, which the library only
 * resembles by NFKC), and that nothing is put before an empty text. Not here: the model itself, added tokens (tokenizer.ts).
 */
import { Precompiled } from './precompiled.ts';

type Step = { type?: string; [key: string]: unknown };

const PUNCTUATION = '[\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e\\p{P}]';
const split = (regex: string, behavior: unknown, invert = false): Step => ({ type: 'Split', pattern: { Regex: regex }, behavior, invert });

/** A pre_tokenizer of tokenizer.json: what the library reads in its own way is said as the Split it is. */
export function asReference(step: unknown): unknown {
  const part = step as Step | null;
  switch (part?.type) {
    case 'Sequence':
      return { ...part, pretokenizers: (part.pretokenizers as unknown[]).map(asReference) };
    case 'Digits': // every number sign (½, Ⅷ), not 0 to 9
      return split(part.individual_digits ? '\\p{N}' : '\\p{N}+', 'Isolated');
    case 'Punctuation': // each by itself, not runs of them
      return split(PUNCTUATION, part.behavior ?? 'Isolated');
    case 'Whitespace': // letters of every script are words
      return split('[\\w\\u200c\\u200d]+|[^\\w\\s\\u200c\\u200d]+', 'Removed', true);
    case 'WhitespaceSplit':
      return split('\\s+', 'Removed');
    case 'BertPreTokenizer':
      return { type: 'Sequence', pretokenizers: [split('\\s+', 'Removed'), split(PUNCTUATION, 'Isolated')] };
    default:
      return part;
  }
}

/** The library's steps as it made them: a sequence holds others. */
type Normalizer = { config: Step; normalizers?: (Normalizer | null)[]; normalize(text: string): string };
type PreTokenizer = { config?: Step; pattern?: RegExp | null; tokenizers?: (PreTokenizer | null)[]; pre_tokenize_text(text: string): string[] };

/** Sets right what the library's own normalizers do. Throws where a table of characters is damaged. */
export function setNormalizersRight(library: unknown): void {
  const step = library as Normalizer | null;
  step?.normalizers?.forEach(setNormalizersRight);
  const config = step?.config;
  if (config?.type === 'Prepend') step!.normalize = (text) => (text === '' ? '' : (config.prepend as string) + text);
  if (config?.type === 'Strip') step!.normalize = (text) => stripped(text, config.strip_left === true, config.strip_right === true);
  if (config?.type === 'Precompiled' && typeof config.precompiled_charsmap === 'string') {
    const table = new Precompiled(Buffer.from(config.precompiled_charsmap, 'base64'));
    step!.normalize = (text) => table.normalize(text);
  }
}

/** Without the whitespace of Unicode at its ends; JavaScript's trim counts U+FEFF and leaves U+0085. */
export function stripped(text: string, left: boolean, right: boolean): string {
  const from = left ? /^\p{White_Space}*/u.exec(text)![0].length : 0;
  let to = text.length;
  while (right && to > from && /\p{White_Space}/u.test(text[to - 1]!)) to--;
  return text.slice(from, to);
}

/** Sets the library's Splits right, whose pieces it only keeps apart or leaves out. */
export function setSplitsRight(library: unknown): void {
  const step = library as PreTokenizer | null;
  step?.tokenizers?.forEach(setSplitsRight);
  if (step?.config?.type !== 'Split' || !step.pattern) return;
  const [behavior, invert, pattern] = [String(step.config.behavior).toLowerCase(), step.config.invert === true, step.pattern];
  const known = behavior === 'removed' || (behavior === 'isolated' && !invert);
  if (known && Object.hasOwn(step.config.pattern as object, 'Regex')) return;
  step.pre_tokenize_text = (text) => joined(pieces(text, pattern, invert), behavior);
}

type Cut = { text: string; match: boolean };

/** The whole text, cut where matches begin and end. */
function pieces(text: string, pattern: RegExp, invert: boolean): Cut[] {
  const cuts: Cut[] = [];
  let at = 0;
  for (const { 0: found, index } of text.matchAll(pattern)) {
    if (index > at) cuts.push({ text: text.slice(at, index), match: invert });
    if (found !== '') cuts.push({ text: found, match: !invert });
    at = index + found.length;
  }
  if (at < text.length) cuts.push({ text: text.slice(at), match: invert });
  return cuts;
}

/** SplitDelimiterBehavior: matches go, stand alone, with their like, or join what stands before or after them. */
function joined(cuts: Cut[], behavior: string): string[] {
  if (behavior === 'removed') return cuts.filter(({ match }) => !match).map(({ text }) => text);
  const next = behavior === 'mergedwithnext';
  const out: string[] = [];
  let before: boolean | null = null;
  for (const { text, match } of next ? cuts.reverse() : cuts) {
    const joins = behavior === 'contiguous' ? match === before : behavior !== 'isolated' && match && before !== true && out.length > 0;
    if (joins) out[out.length - 1] = next ? text + out.at(-1)! : out.at(-1)! + text;
    else out.push(text);
    before = match;
  }
  return next ? out.reverse() : out;
}
