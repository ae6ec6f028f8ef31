/**
 * Votes on answers, and what they come to: every pair of models with wins, ties and losses, and how sure one can be. The best of three or four
 * columns beats each other one; among themselves the others are not counted.
 */
import type { Score, VoteRecord } from '../../shared/api/playground.ts';
import type { Changes } from '../changes.ts';
import { eachVerdict, getVote, insertVote, listVotes as listVoteRows, updateVote, type Verdict } from '../db/votes.ts';
import type { Library } from '../library.ts';
import { UserError } from '../user-error.ts';
import type { Playground } from './live.ts';

type Workplace = { library: Library; playground: Playground; changes: Changes };

/** Voting again replaces the vote; one that finds another answer best after names were shown is not blind any more. */
export function vote({ library: { db }, playground, changes }: Workplace, input: { id: number; turn: number; best: number | null; ratings: (number | null)[] }): void {
  const { turn } = playground.endedTurn(input.id, input.turn);
  const columns = turn.answers.length;
  if (columns < 2) throw new UserError('a vote needs two answers or more: add a model to compare with');
  if (input.best !== null && input.best >= columns) throw new UserError(`there is no column ${input.best + 1} to vote for`);
  if (input.ratings.length > columns) throw new UserError(`there are ${columns} columns to rate, not ${input.ratings.length}`);
  const before = turn.voteId === null ? undefined : getVote(db, turn.voteId);
  const row = {
    prompt: turn.prompt,
    models: turn.answers.map(({ model }) => model),
    answers: turn.answers.map(({ text }) => text),
    ratings: turn.answers.map((_, column) => input.ratings[column] ?? null),
    best: input.best,
    blind: before ? before.blind && before.best === input.best : turn.blind,
    at: new Date().toISOString(),
  };
  if (before) updateVote(db, before.id, row);
  playground.setVote(input.id, input.turn, before?.id ?? insertVote(db, row));
  changes.tell('votes', 'playground');
}

/** Newest first. */
export function listVotes({ db }: Library, count: number): VoteRecord[] {
  return listVoteRows(db, count).map((row) => ({ ...row, best: row.best === null ? null : row.models[row.best] }));
}

export function scores({ db }: Library): Score[] {
  return scoreVerdicts(eachVerdict(db));
}

type Tally = { a: string; b: string; wins: number; ties: number; losses: number; ratingsA: number[]; ratingsB: number[] };

/** By names, a before b. */
export function scoreVerdicts(verdicts: Iterable<Verdict>): Score[] {
  const tallies = new Map<string, Tally>();
  for (const { models, best, ratings } of verdicts) {
    for (let i = 0; i < models.length; i++) {
      for (let j = i + 1; j < models.length; j++) {
        if (models[i] === models[j]) continue;
        const [a, b] = models[i] < models[j] ? [i, j] : [j, i];
        const key = JSON.stringify([models[a], models[b]]);
        const tally = tallies.get(key) ?? { a: models[a], b: models[b], wins: 0, ties: 0, losses: 0, ratingsA: [], ratingsB: [] };
        tallies.set(key, tally);
        if (best === null) tally.ties++;
        else if (best === a) tally.wins++;
        else if (best === b) tally.losses++;
        if (ratings[a] !== null) tally.ratingsA.push(ratings[a]);
        if (ratings[b] !== null) tally.ratingsB.push(ratings[b]);
      }
    }
  }
  return [...tallies.values()]
    .sort((x, y) => x.a.localeCompare(y.a) || x.b.localeCompare(y.b))
    .map(({ ratingsA, ratingsB, ...tally }) => ({
      ...tally,
      ...wilson(tally.wins + tally.ties / 2, tally.wins + tally.ties + tally.losses),
      ratingA: mean(ratingsA),
      ratingB: mean(ratingsB),
    }));
}

/** Normal quantile of a two-sided 95 % interval. */
const Z = 1.959964;

/** Wilson's score interval of a share (E. B. Wilson 1927); of nothing at all one knows nothing. */
export function wilson(successes: number, count: number): { winRate: number; low: number; high: number } {
  if (count === 0) return { winRate: 0.5, low: 0, high: 1 };
  const p = successes / count;
  const spread = 1 + Z ** 2 / count;
  const center = (p + Z ** 2 / (2 * count)) / spread;
  const half = (Z / spread) * Math.sqrt((p * (1 - p)) / count + Z ** 2 / (4 * count ** 2));
  return { winRate: p, low: Math.max(0, center - half), high: Math.min(1, center + half) };
}

function mean(values: number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
