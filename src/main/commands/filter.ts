/** `attune filter`: the rows of a dataset by the scores a model gave them (`attune score --keep`): counted, tagged or deleted. The editor can undo what was done. */
import type { Command } from 'commander';
import type { EditCommand, RowFilter } from '../../shared/api/datasets.ts';
import { createChanges } from '../changes.ts';
import { editDataset } from '../datasets/editing.ts';
import { getDataset } from '../datasets/index.ts';
import { createLiveDatasets } from '../datasets/live.ts';
import { getScoring } from '../db/row-scores.ts';
import type { Library } from '../library.ts';
import { createTasks } from '../tasks.ts';
import { print, printJson } from '../terminal.ts';
import { UserError } from '../user-error.ts';
import { parseNumber } from './options.ts';
import { withLibrary } from './with-library.ts';

type Flags = { atLeast?: number; below?: number; tag?: string; delete?: boolean; json?: boolean };

export function addFilter(program: Command): void {
  program
    .command('filter')
    .description('rows of a dataset by the score a model gave them: counted, tagged, or deleted')
    .argument('<dataset>', 'of the library, scored by attune score --keep')
    .option('--at-least <score>', 'rows that scored so much or more', parseNumber)
    .option('--below <score>', 'rows that scored less', parseNumber)
    .option('--tag <tag>', 'put this tag on them')
    .option('--delete', 'delete them')
    .option('--json', 'the outcome as JSON')
    .addHelpText('after', `
Rows without a score (too long for the model, or changed since) are never among them. The editor can undo a tagging or a deletion.

Example, a filter by quality: a classifier trained on a few hundred labels takes the poor rows out of a large set.
  attune train resources/recipes/classify.yaml
  attune score attune-quality my-rows --keep --label clear
  attune filter my-rows --below 0.5 --delete`)
    .action((dataset: string, flags: Flags) => withLibrary((library) => runFilter(library, dataset, flags)));
}

async function runFilter(library: Library, name: string, { atLeast, below, tag, delete: remove, json }: Flags): Promise<void> {
  const dataset = getDataset(library, name);
  const scoring = getScoring(library.db, dataset.id)?.scoring;
  if (!scoring) throw new UserError(`${name}: its rows have no scores yet: attune score MODEL ${name} --keep gives them some`);
  if (atLeast === undefined && below === undefined) throw new UserError(`say which rows: --at-least SCORE, --below SCORE or both; the scores go from ${scoring.low.toFixed(3)} to ${scoring.high.toFixed(3)}`);
  if (tag !== undefined && remove) throw new UserError('--tag and --delete: one of the two');
  const datasets = createLiveDatasets(library, createTasks());
  const changes = createChanges(library);
  try {
    const filter: RowFilter = { ...(atLeast !== undefined && { minScore: atLeast }), ...(below !== undefined && { maxScore: below }) };
    const view = await datasets.openView(dataset, filter);
    const rows = { view: view.id };
    const command: EditCommand | null = tag !== undefined ? { type: 'tag', rows, tag, on: true } : remove ? { type: 'delete', rows } : null;
    if (command && view.ids.length > 0) await editDataset({ library, datasets, changes }, { dataset: name, command });
    const done = tag !== undefined ? `tagged ${tag}` : remove ? 'deleted' : 'found';
    if (json) printJson({ rows: view.ids.length, of: scoring.rows + scoring.leftOut, done });
    else print(`${name}: ${view.ids.length} rows ${done}, of ${scoring.rows} that ${scoring.model} scored${scoring.label === null ? '' : ` for ${scoring.label}`}`);
  } finally {
    changes.close();
    await datasets.close();
  }
}
