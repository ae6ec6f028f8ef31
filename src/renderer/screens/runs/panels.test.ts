import { expect, test } from 'vitest';
import { panelsOf, shownPanels } from './panels.ts';

test('every metric is in exactly one panel, held-out beside trained, unknown ones in their own', () => {
  const metrics = [
    'loss', 'grad_norm', 'epoch', 'objective/kl', 'eval_loss', 'eval_objective/kl', 'rewards/chosen', 'rewards/rejected', 'eval_only',
  ];
  const panels = panelsOf(metrics);
  expect(panels.flatMap((panel) => panel.metrics).sort()).toEqual([...metrics].sort());
  expect(panels.map(({ id, metrics }) => [id, metrics])).toEqual([
    ['loss', ['loss', 'eval_loss']],
    ['rewards', ['rewards/chosen', 'rewards/rejected']],
    ['grad-norm', ['grad_norm']],
    ['epoch', ['epoch']],
    ['objective-kl', ['objective/kl', 'eval_objective/kl']],
    ['only', ['eval_only']],
  ]);
});

test('what only counts along is hidden unless asked for', () => {
  const panels = panelsOf(['loss', 'epoch']);
  expect(shownPanels(panels, null).map(({ id }) => id)).toEqual(['loss']);
  expect(shownPanels(panels, ['epoch']).map(({ id }) => id)).toEqual(['epoch']);
});
