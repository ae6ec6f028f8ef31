/** A good and a bad answer of the playground as a row of a preference dataset, ready for DPO. The dataset is made when there is none of the name. */
import type { Message, PreferenceExample } from '../../shared/dataset.ts';
import { editDataset } from '../datasets/editing.ts';
import { createDataset, findDataset, getDataset } from '../datasets/index.ts';
import { UserError } from '../user-error.ts';
import type { Workbench } from '../workbench.ts';
import { historyOf } from './conversation.ts';

/** `chosen` and `rejected`: a column's answer, or a text as somebody edited it. */
export type Pair = { id: number; turn: number; chosen: number | string; rejected: number | string; dataset: string };

export async function savePair(workbench: Workbench, { id, turn: position, chosen, rejected, dataset }: Pair): Promise<{ dataset: string; rows: number }> {
  const { library, playground } = workbench;
  const { session, turn } = playground.endedTurn(id, position);
  const textOf = (answer: number | string): string => {
    if (typeof answer === 'string') return answer;
    const found = turn.answers[answer];
    if (!found) throw new UserError(`there is no column ${answer + 1} in this turn`);
    if (found.state === 'failed') throw new UserError('this answer failed: there is no text to save');
    return found.text;
  };
  const answers = { chosen: textOf(chosen), rejected: textOf(rejected) };
  const example: PreferenceExample = { kind: 'preference', prompt: turn.prompt, ...answers };
  if (answers.chosen.trim() === '') throw new UserError('the better answer is empty: a model would learn to say nothing');
  if (answers.chosen === answers.rejected) throw new UserError('both answers are the same: there is nothing to prefer');

  // columns may have talked differently before: the conversation is the one the better answer continued
  const column = typeof chosen === 'number' ? chosen : typeof rejected === 'number' ? rejected : 0;
  const history: Message[] = historyOf(session, position, turn.answers[column]?.slot ?? 0);
  if (history.length > 0) example.prompt = [...history, { role: 'user', content: turn.prompt }];

  const name = dataset.trim();
  if (!findDataset(library, name)) createDataset(library, name, 'preference');
  await editDataset(workbench, { dataset: name, command: { type: 'insert', after: null, split: 'train', example } });
  return { dataset: name, rows: getDataset(library, name).files.reduce((sum, { rows }) => sum + rows, 0) };
}
