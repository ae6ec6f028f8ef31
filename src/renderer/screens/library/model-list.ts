/** Which models the table shows and in what order: by kind, by words, a run's checkpoints beneath it. Pure: rows out of models. */
import type { ModelSummary } from '../../../shared/api/models.ts';

export const KINDS = ['all', 'embedded', 'added', 'run', 'adapter', 'export'] as const;
/** Adapters are a form, not a kind: they are also among the added ones and the runs. */
export type Kind = (typeof KINDS)[number];

export type Row = { model: ModelSummary; /** a checkpoint beneath its run */ nested: boolean; checkpoints: number; open: boolean };

export function isOfKind(model: ModelSummary, kind: Kind): boolean {
  if (kind === 'all') return true;
  if (kind === 'adapter') return model.form === 'adapter' && model.kind !== 'checkpoint';
  return model.kind === kind;
}

export function countKinds(models: ModelSummary[]): Record<Kind, number> {
  const shown = models.filter(({ kind }) => kind !== 'checkpoint');
  return Object.fromEntries(KINDS.map((kind) => [kind, shown.filter((model) => isOfKind(model, kind)).length])) as Record<Kind, number>;
}

/** Every word must occur in a model's name, family, method, parent or kind. A checkpoint that is found, or selected, opens its run. */
export function listRows(models: ModelSummary[], kind: Kind, text: string, open: (run: ModelSummary) => boolean): Row[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = (model: ModelSummary): boolean => {
    const facts = [model.name, model.kind, model.family, model.method, model.parent, model.form].join(' ').toLowerCase();
    return words.every((word) => facts.includes(word));
  };
  const checkpoints = Map.groupBy(models.filter((model) => model.kind === 'checkpoint'), ({ runId }) => runId);
  const rows: Row[] = [];
  for (const model of models) {
    if (model.kind === 'checkpoint' || !isOfKind(model, kind)) continue;
    const below = model.kind === 'run' ? (checkpoints.get(model.runId) ?? []) : [];
    const matching = below.filter(found);
    const itself = found(model);
    if (!itself && matching.length === 0) continue;
    const isOpen = open(model) || (!itself && matching.length > 0);
    rows.push({ model, nested: false, checkpoints: below.length, open: isOpen });
    if (isOpen) rows.push(...(itself ? below : matching).map((checkpoint) => ({ model: checkpoint, nested: true, checkpoints: 0, open: false })));
  }
  return rows;
}

/** From where it all began to the model itself; a parent that is gone ends it. */
export function chainOf(models: ModelSummary[], name: string): ModelSummary[] {
  const byName = new Map(models.map((model) => [model.name, model]));
  const chain: ModelSummary[] = [];
  for (let model = byName.get(name); model && !chain.includes(model); model = model.parent === null ? undefined : byName.get(model.parent)) chain.unshift(model);
  return chain;
}
