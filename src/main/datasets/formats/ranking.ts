/**
 * Rows with several answers to one prompt: texts best first, or with a rank (1 is best) or a score (higher is better) each, or objects that hold
 * them. All become one prompt and its answers, best first. Of equal answers the better one is kept; two that tie cannot be told apart, so
 * only the first of them is.
 */
import type { RankingExample } from '../../../shared/dataset.ts';
import { askedBy, readPrompt } from './preference.ts';
import { answerOf, numberOf, type Row, RowError, toolsOf } from './row.ts';

/** Higher is better; null where only the order says it. */
type Ranked = { text: string; score: number | null };

export function readRanking(row: Row): RankingExample {
  const given: unknown = row.responses ?? row.answers ?? row.completions;
  if (!Array.isArray(given)) throw new RowError('responses is not a list of answers');
  const scores = listOf(row.scores ?? row.rank ?? row.ranks, given.length);
  const sign = row.scores === undefined ? -1 : 1;
  const answers = given.map((value: unknown, i) => readAnswer(value, `responses[${i}]`, scores && sign * numberOf(scores[i], `score ${i + 1}`)));
  if (answers.some(({ score }) => (score === null) !== (answers[0].score === null))) throw new RowError('some responses have a rank or score and some have none');
  const inOrder = answers[0]?.score == null ? answers : answers.toSorted((a, b) => b.score! - a.score!);
  const responses: string[] = [];
  const seen = new Set<string | number>();
  for (const { text, score } of inOrder) {
    if (seen.has(text.trim()) || (score !== null && seen.has(score))) continue;
    seen.add(text.trim());
    if (score !== null) seen.add(score);
    responses.push(text);
  }
  if (responses.length < 2) throw new RowError('fewer than two responses differ in text and rank: there is nothing to compare');
  return { kind: 'ranking', prompt: askedBy(readPrompt(row)), ...toolsOf(row), responses };
}

function listOf(value: unknown, length: number): unknown[] | null {
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value) || value.length !== length) throw new RowError(`scores or ranks are not a list as long as the responses (${length})`);
  return value as unknown[];
}

function readAnswer(value: unknown, field: string, score: number | null): Ranked {
  if (typeof value !== 'object' || value === null) return { text: answerOf(value, field), score };
  const answer = value as Row;
  if (Array.isArray(answer.tool_calls) && answer.tool_calls.length > 0) throw new RowError(`${field} calls tools: answers that are ranked are texts; give chosen and rejected, which may call`);
  const rated = answer.score ?? answer.overall_score; // UltraFeedback's name
  const own = rated !== undefined && rated !== null ? numberOf(rated, `${field}.score`) : answer.rank !== undefined ? -numberOf(answer.rank, `${field}.rank`) : null;
  return { text: answerOf(answer.text ?? answer.response ?? answer.content ?? answer.value, field), score: score ?? own };
}
