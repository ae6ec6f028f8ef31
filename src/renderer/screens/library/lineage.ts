/**
 * The forest of models (base → SFT → DPO → export) laid out in layers: depth to the right, leaves one under the other, a parent in the middle of
 * its children. A run's checkpoints are no nodes of their own: what was made from one hangs on the run, and its link says from which step.
 */
import type { ModelSummary } from '../../../shared/api/models.ts';

export type LineageNode = {
  model: ModelSummary;
  parent: LineageNode | null;
  children: LineageNode[];
  /** Layer, from 0. */
  depth: number;
  /** In rows of one node's height; halves occur. */
  row: number;
  /** Of the run it was made from, when that was not simply its result. */
  fromStep: number | null;
};

export type Lineage = { /** as read aloud: a parent before its children */ nodes: LineageNode[]; layers: number; rows: number };

export function layOutLineage(models: ModelSummary[]): Lineage {
  const checkpoints = new Map(models.filter(({ kind }) => kind === 'checkpoint').map((model) => [model.name, model]));
  const runs = new Map(models.filter(({ kind }) => kind === 'run').map((model) => [model.runId, model.name]));
  const nodes = new Map<string, LineageNode>();
  for (const model of models) {
    if (model.kind !== 'checkpoint') nodes.set(model.name, { model, parent: null, children: [], depth: 0, row: 0, fromStep: null });
  }
  for (const node of nodes.values()) {
    const checkpoint = checkpoints.get(node.model.parent ?? '');
    const parent = nodes.get((checkpoint ? runs.get(checkpoint.runId) : node.model.parent) ?? '');
    if (!parent || isAbove(node, parent)) continue;
    node.parent = parent;
    node.fromStep = checkpoint?.step ?? null;
    parent.children.push(node);
  }
  const inOrder: LineageNode[] = [];
  let rows = 0;
  let layers = 0;
  const place = (node: LineageNode, depth: number): void => {
    inOrder.push(node);
    node.depth = depth;
    layers = Math.max(layers, depth + 1);
    for (const child of node.children) place(child, depth + 1);
    node.row = node.children.length === 0 ? rows++ : (node.children[0].row + node.children.at(-1)!.row) / 2;
  };
  for (const node of nodes.values()) if (!node.parent) place(node, 0);
  return { nodes: inOrder, layers, rows };
}

/** Whether `node` is `other` or one of its ancestors: then it cannot become its child. */
function isAbove(node: LineageNode, other: LineageNode): boolean {
  for (let at: LineageNode | null = other; at; at = at.parent) if (at === node) return true;
  return false;
}

/** The node a name belongs to: a checkpoint's is its run's. */
export function nodeOf({ nodes }: Lineage, models: ModelSummary[], name: string): LineageNode | null {
  const model = models.find((candidate) => candidate.name === name);
  return nodes.find((node) => node.model.name === name || (model?.kind === 'checkpoint' && node.model.kind === 'run' && node.model.runId === model.runId)) ?? null;
}
