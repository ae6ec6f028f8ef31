/**
 * Tables `sessions`, `turns` and `answers`: conversations of the playground as they were left. What streams at this moment is in
 * playground/live.ts, which writes here when a turn begins and when an answer ends.
 */
import type { GeneratedToken, SessionSummary } from '../../shared/api/playground.ts';
import { Constraint, type Validity } from '../../shared/constraint.ts';
import { type Example, Examples } from '../../shared/prompt-template.ts';
import { type FinishReason, Sampling } from '../../shared/sampling.ts';
import type { Database } from './database.ts';

export type AnswerRow = {
  /** Which of the session's models: its place in `models`. */
  slot: number;
  model: string;
  text: string;
  tokens: GeneratedToken[];
  state: 'waiting' | 'streaming' | 'done' | 'stopped' | 'failed';
  finishReason: FinishReason | null;
  tokensPerSecond: number | null;
  error: string | null;
  /** null where nothing was asked of it, or it did not end. */
  validity: Validity | null;
};
/** How far the answers of a turn are ranked. `order`: columns, best first. `saved`: the row of a dataset it was saved as. `told`: names were shown. */
export type RankingRow = { order: number[]; saved: { dataset: string; datasetId: number; row: number } | null; told: boolean };
/** `answers` by column. */
export type TurnRow = {
  prompt: string;
  blind: boolean;
  /** The models heard the turns before it. */
  history: boolean;
  voteId: number | null;
  /** null where answers are not ranked. */
  ranking: RankingRow | null;
  answers: AnswerRow[];
};
export type SessionRow = {
  id: number;
  title: string;
  models: string[];
  blind: boolean;
  /** So many a prompt, to be ranked; null: one a model. */
  answersToRank: number | null;
  /** Of the turns to come. */
  history: boolean;
  system: string;
  /** Shown before the conversation. */
  examples: Example[];
  /** What the next prompts are made of. */
  template: string;
  sampling: Sampling;
  /** What answers to come must be; null: anything. */
  constraint: Constraint | null;
  turns: TurnRow[];
  createdAt: string;
};

/** Newest first. */
export function listSessions(db: Database): SessionSummary[] {
  const sql = `select id, title, models, blind, answers_to_rank as answersToRank, created_at as createdAt, (select count(*) from turns where session_id = id) as turns
               from sessions order by id desc`;
  const rows = db.prepare(sql).all() as (Omit<SessionSummary, 'models' | 'blind'> & { models: string; blind: number })[];
  return rows.map((row) => ({ ...row, models: JSON.parse(row.models) as string[], blind: row.blind === 1 }));
}

export function getSession(db: Database, id: number): SessionRow | undefined {
  const sql = 'select id, title, models, blind, answers_to_rank as answersToRank, history, system, examples, template, sampling, constrained, created_at as createdAt from sessions where id = ?';
  const row = db.prepare(sql).get(id) as
    | { id: number; title: string; models: string; blind: number; answersToRank: number | null; history: number; system: string; examples: string; template: string; sampling: string; constrained: string | null; createdAt: string }
    | undefined;
  if (!row) return undefined;
  const turns = db.prepare('select prompt, blind, history, vote_id as voteId, ranking from turns where session_id = ? order by position').all(id) as
    { prompt: string; blind: number; history: number; voteId: number | null; ranking: string | null }[];
  const answers = db
    .prepare(
      `select position, slot, model, text, tokens, state, finish_reason as finishReason, tokens_per_second as tokensPerSecond, error, validity
       from answers where session_id = ? order by position, column_index`,
    )
    .all(id) as (Omit<AnswerRow, 'tokens' | 'validity'> & { position: number; tokens: string; validity: string | null })[];
  const { constrained, ...kept } = row;
  return {
    ...kept,
    models: JSON.parse(row.models) as string[],
    blind: row.blind === 1,
    history: row.history === 1,
    examples: Examples.parse(JSON.parse(row.examples)),
    sampling: Sampling.parse(JSON.parse(row.sampling)), // one kept before a setting came has it as it is when nobody sets it
    constraint: constrained === null ? null : Constraint.parse(JSON.parse(constrained)),
    turns: turns.map((turn, at) => ({
      ...turn,
      blind: turn.blind === 1,
      history: turn.history === 1,
      ranking: turn.ranking === null ? null : (JSON.parse(turn.ranking) as RankingRow),
      answers: answers
        .filter(({ position }) => position === at)
        .map(({ position: _, tokens, validity, ...answer }) => ({
          ...answer, tokens: JSON.parse(tokens) as GeneratedToken[], validity: validity === null ? null : (JSON.parse(validity) as Validity),
        })),
    })),
  };
}

export function insertSession(db: Database, session: Pick<SessionRow, 'models' | 'blind' | 'answersToRank' | 'history' | 'sampling' | 'constraint'>): number {
  const sql = `insert into sessions (title, models, blind, answers_to_rank, history, system, sampling, constrained, created_at) values ('', ?, ?, ?, ?, '', ?, ?, ?)`;
  const { models, blind, answersToRank, history, sampling, constraint } = session;
  return Number(db.prepare(sql).run(JSON.stringify(models), blind ? 1 : 0, answersToRank, history ? 1 : 0, JSON.stringify(sampling), jsonOrNull(constraint), new Date().toISOString()).lastInsertRowid);
}

/** All but its turns. */
export function updateSession(db: Database, { id, title, models, blind, history, system, examples, template, sampling, constraint }: SessionRow): void {
  const sql = 'update sessions set title = ?, models = ?, blind = ?, history = ?, system = ?, examples = ?, template = ?, sampling = ?, constrained = ? where id = ?';
  db.prepare(sql).run(title, JSON.stringify(models), blind ? 1 : 0, history ? 1 : 0, system, JSON.stringify(examples), template, JSON.stringify(sampling), jsonOrNull(constraint), id);
}

const jsonOrNull = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));

/** With its turns; votes and saved rows stay. */
export function deleteSession(db: Database, id: number): void {
  db.prepare('delete from sessions where id = ?').run(id);
}

/** A turn with its answers as they are now, in place of what was there. */
export function putTurn(db: Database, sessionId: number, position: number, turn: TurnRow): void {
  const put = db.transaction(() => {
    db.prepare('delete from turns where session_id = ? and position = ?').run(sessionId, position);
    db.prepare('insert into turns (session_id, position, prompt, blind, history, vote_id, ranking) values (?, ?, ?, ?, ?, ?, ?)')
      .run(sessionId, position, turn.prompt, turn.blind ? 1 : 0, turn.history ? 1 : 0, turn.voteId, rankingText(turn));
    const insert = db.prepare(
      `insert into answers (session_id, position, column_index, slot, model, text, tokens, state, finish_reason, tokens_per_second, error, validity)
       values (@sessionId, @position, @column, @slot, @model, @text, @tokens, @state, @finishReason, @tokensPerSecond, @error, @validity)`,
    );
    for (const [column, answer] of turn.answers.entries()) insert.run({ ...answer, sessionId, position, column, tokens: JSON.stringify(answer.tokens), validity: jsonOrNull(answer.validity) });
  });
  put.immediate();
}

export function updateAnswer(db: Database, sessionId: number, position: number, column: number, answer: AnswerRow): void {
  const sql = `update answers set text = @text, tokens = @tokens, state = @state, finish_reason = @finishReason,
               tokens_per_second = @tokensPerSecond, error = @error, validity = @validity
               where session_id = @sessionId and position = @position and column_index = @column`;
  const { text, state, finishReason, tokensPerSecond, error } = answer;
  db.prepare(sql).run({ text, state, finishReason, tokensPerSecond, error, tokens: JSON.stringify(answer.tokens), validity: jsonOrNull(answer.validity), sessionId, position, column });
}

/** What was judged alone, so that an answer that streams meanwhile is not touched. */
export function updateTurn(db: Database, sessionId: number, position: number, turn: Pick<TurnRow, 'blind' | 'voteId' | 'ranking'>): void {
  db.prepare('update turns set blind = ?, vote_id = ?, ranking = ? where session_id = ? and position = ?')
    .run(turn.blind ? 1 : 0, turn.voteId, rankingText(turn), sessionId, position);
}

function rankingText({ ranking }: Pick<TurnRow, 'ranking'>): string | null {
  return ranking && JSON.stringify(ranking);
}

/** This turn and those after it. */
export function deleteTurnsFrom(db: Database, sessionId: number, position: number): void {
  db.prepare('delete from turns where session_id = ? and position >= ?').run(sessionId, position);
}
