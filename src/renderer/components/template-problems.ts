/** What is wrong with a model's chat template, in words. */
import type { TemplateProblem } from '../../shared/dataset.ts';
import * as m from '../paraglide/messages.js';

export const templateProblems: Record<TemplateProblem, () => string> = {
  'drops-system': m.template_drops_system,
  'drops-tools': m.template_drops_tools,
  'refuses-system': m.template_refuses_system,
  'no-end-of-turn': m.template_no_end_of_turn,
  fails: m.template_fails,
};
