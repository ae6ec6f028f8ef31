/**
 * The stated rule by which two answers to one prompt are judged without a person or a reward model: five plain checks of form.
 * It says nothing of whether an answer is true; a preference for clear, short, well-formed answers is all it measures.
 */

export type Judged = { points: number; failed: string[] };
export type Verdict = 'win' | 'tie' | 'loss';

/** Longest answer, in words, that still counts as short. */
export const MAX_WORDS = 30;

const RULES: { name: string; passes: (answer: string, finished: boolean) => boolean }[] = [
  { name: 'ends by itself', passes: (_, finished) => finished },
  { name: 'starts with a capital letter', passes: (answer) => /^["'(]?(\p{Lu}|\p{Lo}|\d)/u.test(answer) },
  { name: 'ends with a full stop', passes: (answer) => /[.!?]["')]?$/.test(answer) },
  { name: `has 1 to ${MAX_WORDS} words`, passes: (answer) => wordCount(answer) >= 1 && wordCount(answer) <= MAX_WORDS },
  { name: 'does not repeat itself', passes: (answer) => !repeats(answer) },
];

/** Of an answer that passes all. */
export const MOST_POINTS = RULES.length;

/** The rule in one sentence, printed wherever its verdicts are. */
export const RULE_TEXT = `one point each: ${RULES.map((rule) => rule.name).join(', ')}; more points win`;

/** `finished`: the model ended the answer itself rather than running into the token limit. */
export function judgeAnswer(answer: string, finished: boolean): Judged {
  const failed = RULES.filter((rule) => !rule.passes(answer.trim(), finished)).map((rule) => rule.name);
  return { points: RULES.length - failed.length, failed };
}

/** Seen from `a`. */
export function compareJudged(a: Judged, b: Judged): Verdict {
  return a.points > b.points ? 'win' : a.points < b.points ? 'loss' : 'tie';
}

/** Of `a` against `b`, answer by answer. */
export function countVerdicts(a: Judged[], b: Judged[]): Record<Verdict, number> {
  const counts: Record<Verdict, number> = { win: 0, tie: 0, loss: 0 };
  for (const [i, judged] of a.entries()) counts[compareJudged(judged, b[i])]++;
  return counts;
}

function wordCount(text: string): number {
  return text.split(/\s+/).filter(Boolean).length;
}

/** True when some run of three words stands in the text twice. */
function repeats(text: string): boolean {
  const words = text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];
  const seen = new Set<string>();
  for (let i = 0; i + 3 <= words.length; i++) {
    const run = words.slice(i, i + 3).join(' ');
    if (seen.has(run)) return true;
    seen.add(run);
  }
  return false;
}
