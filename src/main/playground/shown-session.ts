/**
 * A session as windows see it. In a blind turn nothing says which model wrote which column before the vote or the saved ranking: no name, no speed, no engine that
 * is busy or failed while one column is, and no error that names a folder.
 */
import type { Answer, Session, Turn, Vote } from '../../shared/api/playground.ts';
import type { SessionRow, TurnRow } from '../db/sessions.ts';
import type { EngineState } from './engines.ts';

export type EngineOf = (model: string) => { state: EngineState; error: string | null };

/** A turn whose names are not to be known yet. Where every answer failed there is nothing to judge, and why is all there is to know. */
export function isHidden(turn: TurnRow): boolean {
  return turn.blind && turn.voteId === null && !turn.ranking?.told && turn.answers.some(({ state }) => state !== 'failed');
}

export function showSession(row: SessionRow, engineOf: EngineOf, voteOf: (id: number) => Vote | null): Session {
  const { id, title, models, blind, answersToRank, history, system, examples, template, sampling, constraint, createdAt } = row;
  const engines = models.map((model) => ({ model, ...engineOf(model) }));
  const secret = row.turns.some((turn) => isHidden(turn) && turn.answers.some(({ state }) => state === 'waiting' || state === 'streaming' || state === 'failed'));
  const common = mostPressing(engines.map(({ state }) => state));
  return {
    id, title, models, blind, answersToRank, history, system, examples, template, sampling, constraint, createdAt,
    turns: row.turns.map((turn) => showTurn(turn, voteOf)),
    engines: secret || blind ? engines.map(({ model }) => ({ model, state: common, error: null })) : engines,
  };
}

function showTurn(turn: TurnRow, voteOf: (id: number) => Vote | null): Turn {
  const hidden = isHidden(turn);
  const answers = turn.answers.map(({ slot: _, ...live }): Answer => {
    const answer = { ...live, tokens: [...live.tokens] }; // it may go on growing while this is on its way
    if (!hidden) return answer;
    const error = answer.error === null ? null : 'this model could not answer; which one and why is shown when you have judged';
    return { ...answer, model: null, tokensPerSecond: null, error };
  });
  const { ranking } = turn;
  return {
    prompt: turn.prompt,
    answers,
    vote: turn.voteId === null ? null : voteOf(turn.voteId),
    ranking: ranking && { order: ranking.order, savedTo: ranking.saved?.dataset ?? null },
  };
}

/** One word for all: what the slowest is doing. A failed one is not told apart: its column says so. */
function mostPressing(states: EngineState[]): EngineState {
  const order: EngineState[] = ['loading', 'busy', 'ready', 'off'];
  return order.find((state) => states.includes(state)) ?? 'off';
}
