/** Table `votes`: what was asked, what each model answered, which answer was found best, and ratings. Lists are JSON, one entry a column. */
import type { Database } from './database.ts';

export type VoteRow = {
  id: number;
  prompt: string;
  models: string[];
  answers: string[];
  ratings: (number | null)[];
  /** A column; null: a tie. */
  best: number | null;
  blind: boolean;
  at: string;
};
/** What scores are counted from. */
export type Verdict = Pick<VoteRow, 'models' | 'ratings' | 'best'>;

type Stored = { id: number; prompt: string; models: string; answers: string; ratings: string; best: number | null; blind: number; at: string };
const parse = (row: Stored): VoteRow => ({
  ...row,
  models: JSON.parse(row.models) as string[],
  answers: JSON.parse(row.answers) as string[],
  ratings: JSON.parse(row.ratings) as (number | null)[],
  blind: row.blind === 1,
});

/** Newest first. */
export function listVotes(db: Database, count: number): VoteRow[] {
  return (db.prepare('select * from votes order by id desc limit ?').all(count) as Stored[]).map(parse);
}

export function getVote(db: Database, id: number): VoteRow | undefined {
  const row = db.prepare('select * from votes where id = ?').get(id) as Stored | undefined;
  return row && parse(row);
}

/** A row at a time: there may be many. */
export function* eachVerdict(db: Database): Generator<Verdict> {
  for (const row of db.prepare('select models, ratings, best from votes').iterate() as IterableIterator<Stored>) {
    yield { best: row.best, models: JSON.parse(row.models) as string[], ratings: JSON.parse(row.ratings) as (number | null)[] };
  }
}

const values = (vote: Omit<VoteRow, 'id'>) => ({
  ...vote, models: JSON.stringify(vote.models), answers: JSON.stringify(vote.answers), ratings: JSON.stringify(vote.ratings), blind: vote.blind ? 1 : 0,
});

export function insertVote(db: Database, vote: Omit<VoteRow, 'id'>): number {
  const sql = `insert into votes (prompt, models, answers, ratings, best, blind, at) values (@prompt, @models, @answers, @ratings, @best, @blind, @at)`;
  return Number(db.prepare(sql).run(values(vote)).lastInsertRowid);
}

export function updateVote(db: Database, id: number, vote: Omit<VoteRow, 'id'>): void {
  const sql = `update votes set prompt = @prompt, models = @models, answers = @answers, ratings = @ratings, best = @best, blind = @blind, at = @at where id = @id`;
  db.prepare(sql).run({ ...values(vote), id });
}
