import { describe, expect, it } from 'vitest';
import type { ModelSummary } from '../../../shared/api/models.ts';
import { layOutLineage, nodeOf } from './lineage.ts';
import { chainOf, countKinds, listRows } from './model-list.ts';

const model = (name: string, kind: ModelSummary['kind'], parent: string | null, more: Partial<ModelSummary> = {}): ModelSummary => ({
  name, kind, parent, form: 'full', family: 'llama', parameters: 1, activeParameters: null, adapterParameters: null, adapterRank: null, bytes: 1, dtype: 'F32', contextLength: 1, vocabularySize: 1,
  layers: 1, hiddenSize: 1, folder: '/', adapter: null, template: 'chat', hasChatTemplate: true, templateProblems: [], labels: null, method: null, runId: null, step: null, best: false, createdAt: null, problem: null, ...more,
});
const models = [
  model('base', 'embedded', null),
  model('other', 'added', null),
  model('sft', 'run', 'base', { runId: 1, step: 8, method: 'sft' }),
  model('sft@4', 'checkpoint', 'base', { runId: 1, step: 4, method: 'sft' }),
  model('sft@8', 'checkpoint', 'base', { runId: 1, step: 8, method: 'sft' }),
  model('dpo', 'run', 'sft', { runId: 2, step: 2, method: 'dpo' }),
  model('early', 'run', 'sft@4', { runId: 3, step: 2, method: 'dpo', form: 'adapter' }),
];

describe('lineage', () => {
  const lineage = layOutLineage(models);
  const at = (name: string) => lineage.nodes.find((node) => node.model.name === name)!;

  it('puts a parent in the middle of its children, one layer to the left', () => {
    expect(lineage.nodes.map((node) => [node.model.name, node.depth, node.row])).toEqual([['base', 0, 0.5], ['sft', 1, 0.5], ['dpo', 2, 0], ['early', 2, 1], ['other', 0, 2]]);
    expect([lineage.layers, lineage.rows]).toEqual([3, 3]);
  });

  it('hangs what was made from a checkpoint on its run, and says from which step', () => {
    expect(at('early').parent).toBe(at('sft'));
    expect([at('early').fromStep, at('dpo').fromStep]).toEqual([4, null]);
    expect(nodeOf(lineage, models, 'sft@4')).toBe(at('sft'));
  });

  it('ends where models are each other’s parents, or a parent is gone', () => {
    const odd = layOutLineage([model('a', 'run', 'b', { runId: 1 }), model('b', 'run', 'a', { runId: 2 }), model('c', 'run', 'gone', { runId: 3 })]);
    expect(odd.nodes).toHaveLength(3);
    expect(chainOf([model('a', 'run', 'b'), model('b', 'run', 'a')], 'a').map(({ name }) => name)).toEqual(['b', 'a']);
  });

  it('is also a chain of names', () => {
    expect(chainOf(models, 'early').map(({ name }) => name)).toEqual(['base', 'sft@4', 'early']);
  });
});

describe('the list of models', () => {
  const names = (kind: Parameters<typeof listRows>[1], text: string, open: string[] = []) => listRows(models, kind, text, ({ name }) => open.includes(name)).map((row) => row.model.name);

  it('folds checkpoints beneath their run', () => {
    expect(names('all', '')).toEqual(['base', 'other', 'sft', 'dpo', 'early']);
    expect(names('all', '', ['sft'])).toEqual(['base', 'other', 'sft', 'sft@4', 'sft@8', 'dpo', 'early']);
  });

  it('unfolds a run where only a checkpoint fits the words', () => {
    expect(names('all', 'sft@4')).toEqual(['sft', 'sft@4', 'early']);
  });

  it('counts and filters by kind, adapters among the runs', () => {
    expect(countKinds(models)).toEqual({ all: 5, embedded: 1, added: 1, run: 3, adapter: 1, export: 0 });
    expect(names('adapter', '')).toEqual(['early']);
  });
});
