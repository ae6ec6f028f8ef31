/**
 * Kahneman–Tversky optimisation: rows as labelled answers (a pair as two), and the frozen reference's log-probs of them and of the mismatched
 * rows that every step's KL is estimated from, computed once and kept in the run's folder, for algorithms/kto.ts.
 */
import type { KtoRecipe } from '../../shared/recipe.ts';
import { kto, type KtoReference, mismatch, referenceSequences, sequenceLogprobs } from '../algorithms/kto.ts';
import { prepareUnpaired } from '../data/prepare.ts';
import { type MethodContext, type PreparedMethod, prepareSettings, prepareSplits } from './method.ts';
import { keptReference } from './reference.ts';

export async function prepareKto(context: MethodContext<KtoRecipe>): Promise<PreparedMethod> {
  const { recipe } = context.job;
  const { maxLength } = recipe;
  const settings = prepareSettings(context);
  const { train, validation } = await prepareSplits(context.job, (path) => prepareUnpaired(path, settings));
  warnOfBalance(context, train.filter(({ label }) => label).length, train.length);
  return {
    lengths: train.map(({ prompt, completion }) => {
      const length = Math.min(maxLength, prompt.length + completion.length);
      return [length, length - prompt.length];
    }),
    async start(training, steps) {
      const withKl = recipe.lossType === 'kto';
      const own = referenceSequences(train, withKl ? steps : [], maxLength);
      const held = { rows: referenceSequences(validation, [], maxLength).rows, mismatched: withKl ? mismatch(validation, maxLength) : [] };
      const parts = [own.rows, own.mismatched, held.rows, held.mismatched];
      const all = parts.flat();
      const texts = all.map(({ tokens }) => tokens);
      const values = await keptReference(context, training, { texts, count: all.length, rows: `${train.length + validation.length} rows` }, (model) =>
        sequenceLogprobs(model, all, recipe.perDeviceTrainBatchSize),
      );
      let at = 0;
      const [rows, mismatched, heldRows, heldMismatched] = parts.map(({ length }) => values.subarray(at, (at += length)));
      const trainReference: KtoReference = { rows, mismatched };
      const validationReference: KtoReference = { rows: heldRows, mismatched: heldMismatched };
      const data = { train, trainReference, steps, validation, validationReference, evalSteps: recipe.evalSteps, evalBatchSize: recipe.perDeviceTrainBatchSize, maxLength };
      return kto(training, data, recipe);
    },
  };
}

/** Eq. (8) of the paper: w₊·(wanted rows) : w₋·(unwanted rows) within 1 and 4/3. Said, not changed, as TRL does. */
function warnOfBalance({ job: { recipe }, emit }: MethodContext<KtoRecipe>, wanted: number, rows: number): void {
  const unwanted = rows - wanted;
  if (wanted === 0 || unwanted === 0) {
    emit({ type: 'note', text: `all ${rows} rows are ${wanted === 0 ? 'unwanted' : 'wanted'} answers: KTO learns best from both kinds` });
    return;
  }
  const ratio = (recipe.desirableWeight * wanted) / (recipe.undesirableWeight * unwanted);
  if (ratio >= 0.99 && ratio <= 1.34) return;
  const weight = ((recipe.undesirableWeight * unwanted) / wanted).toPrecision(3);
  emit({ type: 'note', text: `${wanted} wanted and ${unwanted} unwanted answers are not in balance under their weights: desirableWeight ${weight} to ${(Number(weight) * 1.33).toPrecision(3)} is recommended` });
}
