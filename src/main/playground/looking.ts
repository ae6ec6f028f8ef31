/**
 * Looking closer at an answer: what each filter makes of one of its places, how models find every token of it (and of its prompt), and what it would have
 * been with another token. Settings are the conversation's as they are now. In a blind turn only what tells no name is answered.
 */
import type { Look, ReadColumn } from '../../shared/api/playground.ts';
import type { Message } from '../../shared/dataset.ts';
import type { ReadText } from '../../shared/job.ts';
import type { AnswerRow, SessionRow } from '../db/sessions.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { UserError } from '../user-error.ts';
import { historyOf } from './conversation.ts';
import type { Ended } from './engines.ts';
import type { Playground } from './live.ts';
import { isHidden } from './shown-session.ts';

/** Tokens whose way through the filters is told. */
const TOLD = 20;

type Context = { library: Library; playground: Playground };
type Place = { id: number; turn: number; column: number };

export async function lookAt({ library, playground }: Context, { index, ...place }: Place & { index: number }, signal?: AbortSignal): Promise<Look> {
  const { session, answer, messages } = find(playground, place);
  const completion = answer.tokens.slice(0, index).map(({ id }) => id);
  const ended = await ask(library, playground, answer.model, { type: 'look', messages, completion, sampling: session.sampling, count: TOLD }, signal);
  if (ended?.type !== 'looked') throw new UserError('this place was not looked at: it was stopped');
  return ended.trace;
}

/** By the model that wrote it, and by another where one is named. */
export async function readAnswer({ library, playground }: Context, { against, ...place }: Place & { against?: string }, signal?: AbortSignal): Promise<ReadColumn[]> {
  const { answer, messages, hidden } = find(playground, place);
  if (hidden) throw new UserError('this turn is blind: vote first, then its answers can be read with their models');
  const read = async (model: string, completion: number[] | string): Promise<ReadText> => {
    const ended = await ask(library, playground, model, { type: 'read', messages, completion }, signal);
    if (ended?.type !== 'read') throw new UserError('this answer was not read: it was stopped');
    return ended.read;
  };
  const ids = answer.tokens.map(({ id }) => id);
  const own = await read(answer.model, ids);
  const columns: ReadColumn[] = [{ model: answer.model, ...own }];
  if (against !== undefined) {
    const texts = (one: ReadText): string => JSON.stringify(one.tokens.slice(one.promptTokens).map(({ text }) => text));
    // ids of another tokenizer are other words, or none: then it reads the text in tokens of its own
    let other = await read(against, ids).catch(() => null);
    if (!other || texts(other) !== texts(own)) other = await read(against, answer.text);
    columns.push({ model: against, ...other });
  }
  return columns;
}

function find(playground: Playground, { id, turn: position, column }: Place): { session: SessionRow; answer: AnswerRow; messages: Message[]; hidden: boolean } {
  const { session, turn } = playground.endedTurn(id, position);
  const answer = turn.answers[column];
  if (!answer || answer.tokens.length === 0) throw new UserError('this answer has no tokens to look at');
  return { session, answer, messages: [...historyOf(session, position, answer.slot), { role: 'user', content: turn.prompt }], hidden: isHidden(turn) };
}

function ask(library: Library, { engines }: Playground, name: string, command: Parameters<Playground['engines']['ask']>[0]['command'], signal?: AbortSignal): Promise<Ended | null> {
  const { path, template } = resolveModel(library, name);
  return engines.ask({ model: { path, template }, command, signal: signal ?? new AbortController().signal });
}
