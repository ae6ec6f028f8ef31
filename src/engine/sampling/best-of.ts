/**
 * Choosing one of N answers, and what choosing among fewer would have been worth. By score the expectation over all choices of n is exact (order statistics:
 * the i-th best of N is the best of n with probability C(N − i, n − 1) / C(N, n)); by vote it is taken over seeded choices, all of them where there are few.
 * Majority vote: self-consistency (Wang et al. 2022). Pure; where answers come from is jobs/best-of.ts.
 */
import type { CurvePoint, SampledAnswer } from '../../shared/best-of.ts';
import { createRandom, shuffle } from '../random.ts';
import { matchOf } from '../within-time.ts';

export type Choosable = Pick<SampledAnswer, 'score' | 'vote' | 'correct'>;

/** Choices of n that a vote's curve is taken over, at most. */
const CHOICES = 400;

/** The chosen answer: the highest score, the earliest on a tie; by vote the earliest of the answers that most weight voted for. Null when nobody voted. */
export function choose(answers: Choosable[], by: 'score' | 'vote'): number | null {
  if (by === 'score') {
    let best: number | null = null;
    for (const [i, { score }] of answers.entries()) if (score !== null && (best === null || score > answers[best].score!)) best = i;
    return best;
  }
  const winner = tally(answers)[0];
  return winner ? answers.findIndex(({ vote }) => vote === winner.vote) : null;
}

/** 1, 2, 4 … and all. */
export function curveSizes(count: number): number[] {
  const sizes: number[] = [];
  for (let n = 1; n < count; n *= 2) sizes.push(n);
  return [...sizes, count];
}

/** Of one prompt. `score` is null where no answer could be chosen. */
export function curveOf(answers: Choosable[], by: 'score' | 'vote', seed: number): { n: number; score: number | null; correct: number | null }[] {
  return curveSizes(answers.length).map((n) => ({ n, ...(by === 'score' ? expectedBest(answers, n) : expectedVote(answers, n, seed)) }));
}

/** The mean over prompts of what is known of them. */
export function meanCurve(curves: { n: number; score: number | null; correct: number | null }[][]): CurvePoint[] {
  const mean = (values: (number | null)[]): number | null => {
    const known = values.filter((value) => value !== null);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
  };
  return (curves[0] ?? []).map(({ n }, i) => ({ n, score: mean(curves.map((curve) => curve[i].score)) ?? 0, correct: mean(curves.map((curve) => curve[i].correct)) }));
}

/** What of an answer votes, or is held against the expected one: a pattern's first group, else its match, else nothing. Spaces and letters evened out. */
export function extractAnswer(text: string, pattern: RegExp | null): string | null {
  const match = pattern && matchOf(pattern, text);
  if (pattern && !match) return null;
  const found = (match ? (match[1] ?? match[0]) : text).trim().replace(/\s+/g, ' ').toLowerCase();
  return found === '' ? null : found;
}

function expectedBest(answers: Choosable[], n: number): { score: number | null; correct: number | null } {
  const ranked = answers.filter(({ score }) => score !== null).sort((a, b) => b.score! - a.score!); // stable: the earliest first on a tie
  if (ranked.length === 0) return { score: null, correct: null };
  const size = Math.min(n, ranked.length);
  let score = 0, correct = 0;
  let probability = size / ranked.length; // of the best being among them
  for (const [i, answer] of ranked.entries()) {
    if (probability === 0) break;
    score += probability * answer.score!;
    correct += probability * Number(answer.correct);
    const left = ranked.length - 1 - i;
    probability *= left - (size - 1) > 0 ? (left - (size - 1)) / left : 0; // C(left − 1, size − 1) / C(left, size − 1)
  }
  return { score, correct: ranked[0].correct === null ? null : correct };
}

function expectedVote(answers: Choosable[], n: number, seed: number): { score: number | null; correct: number | null } {
  let shares = 0, right = 0, count = 0;
  for (const chosen of choices(answers.length, n, seed)) {
    const some = chosen.map((i) => answers[i]);
    const winner = choose(some, 'vote');
    count++;
    if (winner === null) continue; // nothing to choose is nothing won
    const votes = tally(some);
    const total = votes.reduce((sum, { weight }) => sum + weight, 0);
    shares += total > 0 ? votes[0].weight / total : 0;
    right += Number(some[winner].correct);
  }
  return { score: shares / count, correct: answers[0].correct === null ? null : right / count };
}

/** What was voted for, most weight first, the earliest on a tie. */
function tally(answers: Choosable[]): { vote: string; weight: number }[] {
  const votes = new Map<string, number>();
  for (const { vote, score } of answers) if (vote !== null && score !== null) votes.set(vote, (votes.get(vote) ?? 0) + Math.max(0, score)); // below 0 weighs nothing
  return [...votes].map(([vote, weight]) => ({ vote, weight })).sort((a, b) => b.weight - a.weight);
}

/** Choices of n out of `count`, in order: all where there are few, else so many seeded ones. */
export function choices(count: number, n: number, seed: number): number[][] {
  let all = 1;
  for (let i = 0; i < n && all <= CHOICES; i++) all = (all * (count - i)) / (i + 1);
  if (all <= CHOICES) return everyChoice(count, n);
  const random = createRandom(seed);
  return Array.from({ length: CHOICES }, () => shuffle(Array.from({ length: count }, (_, i) => i), random).slice(0, n).sort((a, b) => a - b));
}

function everyChoice(count: number, n: number, from = 0): number[][] {
  if (n === 0) return [[]];
  return Array.from({ length: Math.max(0, count - from - n + 1) }, (_, i) => from + i).flatMap((first) => everyChoice(count, n - 1, first + 1).map((rest) => [first, ...rest]));
}
