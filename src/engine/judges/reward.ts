/**
 * A reward model as a judge: each answer is scored by itself, and under Bradley–Terry the difference of two scores is the log-odds that the first is
 * the better one. It sees no other answer, so both orders say the same. A model that is asked by a rubric is rubric.ts.
 */
import type { Template } from '../../shared/dataset.ts';
import { packRankings } from '../data/pack.ts';
import { tokenizeRanking } from '../data/tokenize.ts';
import type { LanguageModel } from '../model/language-model.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { Judge } from './judge.ts';

export function rewardJudge(model: LanguageModel, tokenizer: Tokenizer, template: Template): Judge {
  return async (pairs) => {
    const rows = pairs.map((pair) => tokenizeRanking(pair, { template, tokenizer }));
    const fits = rows.map(({ prompt, answers }) => answers.every(({ length }) => length > 0 && prompt.length + length <= model.config.maxPositionEmbeddings));
    const read = rows.filter((_, i) => fits[i]);
    const { scores } = read.length === 0 ? { scores: [] } : await model.forwardScores(packRankings(read));
    let at = 0;
    return fits.map((fit) => {
      if (!fit) return null;
      const odds = scores[at] - scores[at + 1];
      at += 2;
      return { inOrder: odds, swapped: odds };
    });
  };
}
