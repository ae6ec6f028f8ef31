/** What a column's model has heard and said so far, as messages. Each column has its own history: the answers of its own slot. */
import type { Message } from '../../shared/dataset.ts';
import { exampleMessages } from '../../shared/prompt-template.ts';
import type { SessionRow } from '../db/sessions.ts';

/** What stands before any turn: the system prompt and the examples. */
export function openingOf({ system, examples }: Pick<SessionRow, 'system' | 'examples'>): Message[] {
  return [...(system.trim() === '' ? [] : [{ role: 'system' as const, content: system }]), ...exampleMessages(examples)];
}

/** The conversation before a turn as one slot has it: turns it did not answer are left out; of a turn asked by itself, the system prompt and the examples alone. */
export function historyOf({ system, examples, turns }: Pick<SessionRow, 'system' | 'examples' | 'turns'>, turn: number, slot: number): Message[] {
  const messages = openingOf({ system, examples });
  for (const { prompt, answers } of turns[turn]?.history === false ? [] : turns.slice(0, turn)) {
    const answer = answers.find((candidate) => candidate.slot === slot);
    if (!answer || answer.state === 'failed' || answer.state === 'waiting') continue;
    messages.push({ role: 'user', content: prompt }, { role: 'assistant', content: answer.text });
  }
  return messages;
}
