/**
 * Which metrics stand in one chart: those that mean something against each other, held-out beside trained. Every metric a run has is in
 * exactly one panel; what is not known here gets one of its own.
 */
export type Panel = { id: string; title: string; metrics: string[] };

/** Known groups, in the order they are shown. */
const GROUPS: { id: string; title: string; metrics: string[] }[] = [
  { id: 'loss', title: 'loss', metrics: ['loss', 'eval_loss'] },
  { id: 'aux-loss', title: 'aux_loss', metrics: ['aux_loss'] },
  { id: 'accuracies', title: 'rewards/accuracies', metrics: ['rewards/accuracies', 'eval_rewards/accuracies'] },
  { id: 'margins', title: 'rewards/margins', metrics: ['rewards/margins', 'eval_rewards/margins'] },
  { id: 'rewards', title: 'rewards', metrics: ['rewards/chosen', 'rewards/rejected', 'eval_rewards/chosen', 'eval_rewards/rejected'] },
  { id: 'lengths', title: 'completions/mean_length', metrics: ['chosen', 'rejected'].flatMap((side) => [`completions/mean_length/${side}`, `eval_completions/mean_length/${side}`]) },
  { id: 'kl', title: 'kl', metrics: ['kl', 'eval_kl'] },
  { id: 'nll', title: 'nll_loss', metrics: ['nll_loss', 'eval_nll_loss'] },
  { id: 'odds', title: 'log_odds', metrics: ['log_odds_ratio', 'log_odds_chosen', 'eval_log_odds_ratio', 'eval_log_odds_chosen'] },
  { id: 'logps', title: 'logps', metrics: ['logps/chosen', 'logps/rejected', 'eval_logps/chosen', 'eval_logps/rejected'] },
  { id: 'accuracy', title: 'accuracy', metrics: ['accuracy', 'eval_accuracy'] },
  { id: 'margin', title: 'margin', metrics: ['margin', 'eval_margin'] },
  { id: 'score', title: 'reward', metrics: ['min_reward', 'mean_reward', 'max_reward', 'eval_min_reward', 'eval_mean_reward', 'eval_max_reward'] },
  { id: 'calibration', title: 'eval_calibration_error', metrics: ['eval_calibration_error'] },
  { id: 'reward', title: 'reward', metrics: ['reward', 'eval_reward', 'gold', 'eval_gold', 'reward/kept'] },
  { id: 'objective', title: 'objective', metrics: ['objective/scores', 'objective/rlhf_reward', 'objective/non_score_reward'] },
  { id: 'ppo-losses', title: 'loss/policy_avg, loss/value_avg', metrics: ['loss/policy_avg', 'loss/value_avg'] },
  { id: 'completions', title: 'completions', metrics: ['completions/mean_length', 'completions/mean_terminated_length', 'eval_completions/mean_length'] },
  { id: 'clip-ratio', title: 'clip_ratio', metrics: ['clip_ratio/region_mean', 'clip_ratio/low_mean', 'clip_ratio/high_mean'] },
  { id: 'token-accuracy', title: 'mean_token_accuracy', metrics: ['mean_token_accuracy', 'eval_mean_token_accuracy'] },
  { id: 'learning-rate', title: 'learning_rate', metrics: ['learning_rate'] },
  { id: 'grad-norm', title: 'grad_norm', metrics: ['grad_norm'] },
  { id: 'entropy', title: 'entropy', metrics: ['entropy', 'eval_entropy'] },
  { id: 'perplexity', title: 'perplexity', metrics: ['perplexity', 'eval_perplexity'] },
];
/** Rise with every step and tell nothing that the x axis does not: there, but not shown unless asked for. */
const HIDDEN = new Set(['epoch', 'num_tokens']);

export function panelsOf(metrics: string[]): Panel[] {
  const has = new Set(metrics);
  const groups = GROUPS.map(({ id, title, metrics }) => ({ id, title, metrics: metrics.filter((name) => has.has(name)) }));
  const known = groups.filter(({ metrics }) => metrics.length > 0);
  const placed = new Set(known.flatMap(({ metrics }) => metrics));
  const others = metrics.filter((name) => !placed.has(name));
  for (const name of others) {
    if (placed.has(name)) continue;
    const plain = name.replace(/^eval_/, '');
    const group = [plain, `eval_${plain}`].filter((name) => has.has(name) && !placed.has(name));
    known.push({ id: plain.replaceAll('/', '-'), title: plain, metrics: group });
    for (const name of group) placed.add(name);
  }
  return known;
}

/** `chosen`: ids from the address, null for the usual ones. */
export function shownPanels(panels: Panel[], chosen: string[] | null): Panel[] {
  return panels.filter(({ id, metrics }) => (chosen ? chosen.includes(id) : !metrics.every((name) => HIDDEN.has(name))));
}
