/**
 * Rows with a chosen and a rejected answer: strings, messages, LLaMA-Factory's conversations, whole conversations (UltraFeedback), transcripts (HH-RLHF).
 * All become one prompt and two answers; a pair whose answers are equal teaches nothing and is refused.
 */
import { type Answer, answerText, asAnswer, type Message, messageText, type PreferenceExample } from '../../../shared/dataset.ts';
import { answerOf, numberOf, optionalText, type Row, RowError, textOf, toolsOf } from './row.ts';
import { readTranscript, readTurn, readTurns } from './turns.ts';

export function readPreference(row: Row): PreferenceExample {
  const prompt = readPrompt(row);
  const { context, chosen, rejected } = splitAtLast(readSide(row.chosen, 'chosen'), readSide(row.rejected, 'rejected'));
  // of whole conversations what comes before the last turn is the prompt
  const whole = context.some(({ role }) => role === 'user');
  const example = { ...pair(whole ? context : [...prompt, ...context], chosen, rejected), ...toolsOf(row) };
  if (row.margin !== undefined && row.margin !== null) example.margin = numberOf(row.margin, 'margin');
  // others mean the prompt's origin by a column of that name
  return row.kind === 'preference' && typeof row.source === 'string' ? { ...example, source: row.source } : example;
}

export function readTranscripts(row: Row): PreferenceExample {
  const chosen = readTranscript(textOf(row.chosen, 'chosen'), 'chosen');
  const rejected = readTranscript(textOf(row.rejected, 'rejected'), 'rejected');
  const { context, ...last } = splitAtLast(chosen, rejected);
  return pair(context, last.chosen, last.rejected);
}

/** Two conversations that agree on all but their last turn; others (a few of HH-RLHF part earlier) are no two answers to one prompt. */
function splitAtLast(chosen: Message[], rejected: Message[]): { context: Message[]; chosen: Message; rejected: Message } {
  const context = chosen.slice(0, -1);
  if (!sameTurns(context, rejected.slice(0, -1))) {
    throw new RowError('chosen and rejected differ before their last turn: they are not two answers to one prompt');
  }
  return { context, chosen: chosen[chosen.length - 1], rejected: rejected[rejected.length - 1] };
}

function pair(prompt: Message[], chosen: Message, rejected: Message): PreferenceExample {
  if (chosen.role !== 'assistant' || rejected.role !== 'assistant') throw new RowError('chosen and rejected do not end with an assistant turn');
  const answers = { chosen: said(chosen, 'chosen'), rejected: said(rejected, 'rejected') };
  if (answerText(answers.chosen).trim() === answerText(answers.rejected).trim()) throw new RowError('chosen and rejected are equal');
  return { kind: 'preference', prompt: askedBy(prompt), ...answers };
}

/** An answer that calls tools may have no text beside. */
export const said = (message: Message, field: string): Answer => asAnswer(message.tool_calls ? message : { ...message, content: answerOf(message.content, field) });

/** A single user's turn is its text. */
export function askedBy(prompt: Message[]): PreferenceExample['prompt'] {
  const last = prompt.at(-1);
  if (last === undefined) throw new RowError('there is no prompt');
  if (last.role === 'assistant' || last.role === 'system') throw new RowError(`the prompt ends with the ${last.role}, not with the user`);
  return prompt.length === 1 && last.role === 'user' ? last.content : prompt;
}

export function readSide(value: unknown, field: string): Message[] {
  if (Array.isArray(value)) return readTurns(value, field);
  if (typeof value === 'object' && value !== null) return [readTurn(value, field)];
  return [{ role: 'assistant', content: textOf(value, field) }];
}

export function readPrompt(row: Row): Message[] {
  const system = optionalText(row.system, 'system');
  const lead: Message[] = system.trim() === '' ? [] : [{ role: 'system', content: system }];
  const prompt = row.prompt ?? row.conversations ?? row.messages ?? row.question;
  if (Array.isArray(prompt)) return [...lead, ...readTurns(prompt, 'prompt')];
  if (prompt !== undefined && prompt !== null) {
    const text = textOf(prompt, 'prompt');
    return text.trim() === '' ? lead : [...lead, { role: 'user', content: text }];
  }
  if (row.instruction === undefined) return lead;
  const input = optionalText(row.input, 'input');
  return [...lead, { role: 'user', content: textOf(row.instruction, 'instruction') + (input.trim() === '' ? '' : `\n${input}`) }];
}

const sameTurns = (a: Message[], b: Message[]): boolean =>
  a.length === b.length && a.every((message, i) => message.role === b[i].role && messageText(message) === messageText(b[i]));
