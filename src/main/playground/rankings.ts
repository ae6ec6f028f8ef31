/**
 * Answers to one prompt that a person puts in order: how they are asked for, so that they differ, and the order as a row of a dataset of
 * rankings. The dataset is made when there is none of the name.
 */
import type { RankingExample } from '../../shared/dataset.ts';
import type { Sampling } from '../../shared/sampling.ts';
import { editDataset } from '../datasets/editing.ts';
import { createDataset, findDataset, getDataset, listDatasets } from '../datasets/index.ts';
import { listExampleHeads } from '../db/examples.ts';
import type { RankingRow, SessionRow, TurnRow } from '../db/sessions.ts';
import { UserError } from '../user-error.ts';
import type { Workbench } from '../workbench.ts';
import { historyOf } from './conversation.ts';

/** Of the temperature that is set: where the answers of one model begin and end. */
const COOLEST = 0.75;
const HOTTEST = 1.25;
/** What a temperature may be at most (shared/sampling.ts). */
const MOST = 10;

/**
 * Which model answers with which sampling, in the order of the models. Ranked answers go round the models, each with a seed of its own and the
 * temperatures of one model's answers spread evenly about the one that is set; others are one a model, all sampled alike.
 */
export function planAnswers({ models, sampling, answersToRank }: Pick<SessionRow, 'models' | 'sampling' | 'answersToRank'>): { slot: number; sampling: Sampling }[] {
  if (answersToRank === null) return models.map((_, slot) => ({ slot, sampling }));
  const count = Math.max(answersToRank, models.length);
  return Array.from({ length: count }, (_, i) => {
    const slot = i % models.length;
    const siblings = Math.ceil((count - slot) / models.length);
    const share = siblings === 1 ? 0.5 : Math.floor(i / models.length) / (siblings - 1);
    const temperature = Math.min(MOST, sampling.temperature * (COOLEST + (HOTTEST - COOLEST) * share));
    return { slot, sampling: { ...sampling, seed: sampling.seed + i, temperature } };
  });
}

/** Throws where the turn is not one whose answers are ranked, or still streams. */
function rankedTurn({ playground }: Workbench, id: number, position: number): { session: SessionRow; turn: TurnRow; ranking: RankingRow } {
  const { session, turn } = playground.endedTurn(id, position);
  if (!turn.ranking) throw new UserError('the answers of this turn are not ranked: begin a conversation that ranks answers');
  return { session, turn, ranking: turn.ranking };
}

export function rank(workbench: Workbench, { id, turn: position, order }: { id: number; turn: number; order: number[] }): void {
  const { turn, ranking } = rankedTurn(workbench, id, position);
  if (ranking.saved) throw new UserError('this ranking is saved: take the row back before you change the order');
  if (order.length !== turn.answers.length || turn.answers.some((_, column) => !order.includes(column))) {
    throw new UserError(`the order must name each of the ${turn.answers.length} answers once`);
  }
  workbench.playground.setRanking(id, position, { ...ranking, order });
}

export async function saveRanking(
  workbench: Workbench,
  { id, turn: position, dataset }: { id: number; turn: number; dataset: string },
): Promise<{ dataset: string; responses: number; rows: number }> {
  const { library, playground } = workbench;
  const { session, turn, ranking } = rankedTurn(workbench, id, position);
  if (ranking.saved) throw new UserError(`this ranking is saved in ${ranking.saved.dataset} already`);
  const inOrder = ranking.order.map((column) => turn.answers[column]);
  const texts = inOrder.filter(({ state, text }) => state !== 'failed' && text.trim() !== '').map(({ text }) => text);
  const responses = [...new Set(texts)]; // of two that say the same, the better place counts
  if (responses.length < 2) throw new UserError('a ranking needs two answers that differ: ask again with another seed or a higher temperature');
  // answers of one turn may have heard different things before: the conversation is the one the best answer continued
  const history = historyOf(session, position, inOrder.find(({ text }) => text === responses[0])!.slot);
  const prompt: RankingExample['prompt'] = history.length > 0 ? [...history, { role: 'user', content: turn.prompt }] : turn.prompt;

  const name = dataset.trim();
  if (!findDataset(library, name)) createDataset(library, name, 'ranking');
  const command = { type: 'insert' as const, after: null, split: 'train' as const, example: { kind: 'ranking' as const, prompt, responses } };
  const { ids } = await editDataset(workbench, { dataset: name, command });
  const { id: datasetId, files } = getDataset(library, name);
  playground.setRanking(id, position, { ...ranking, saved: { dataset: name, datasetId, row: ids[0] }, told: true });
  return { dataset: name, responses: responses.length, rows: files.reduce((sum, { rows }) => sum + rows, 0) };
}

/** A row, or a dataset, that is gone already is as good as taken back. */
export async function undoRanking(workbench: Workbench, { id, turn: position }: { id: number; turn: number }): Promise<void> {
  const { ranking } = rankedTurn(workbench, id, position);
  if (!ranking.saved) throw new UserError('this ranking is not saved: there is nothing to take back');
  const { datasetId, row } = ranking.saved;
  const found = listDatasets(workbench.library).find((dataset) => dataset.id === datasetId); // it may have another name by now
  if (found && listExampleHeads(workbench.library.db, found.id, [row]).length > 0) {
    await editDataset(workbench, { dataset: found.name, command: { type: 'delete', rows: { ids: [row] } } });
  }
  workbench.playground.setRanking(id, position, { ...ranking, saved: null });
}
