/** What a method is called, wherever the window speaks of one. */
import type { Recipe } from '../../shared/recipe.ts';
import * as m from '../paraglide/messages.js';

const NAMES: Record<Recipe['method'] | 'export', () => string> = {
  pretrain: m.method_pretrain, sft: m.method_sft, dpo: m.method_dpo, cpo: m.method_cpo, orpo: m.method_orpo, kto: m.method_kto, reward: m.method_reward,
  classify: m.method_classify, rejection: m.method_rejection, ppo: m.method_ppo, grpo: m.method_grpo, rloo: m.method_rloo, export: m.library_method_export,
};

export function methodName(method: keyof typeof NAMES): string {
  return NAMES[method]();
}
