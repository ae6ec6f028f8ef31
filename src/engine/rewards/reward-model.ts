/**
 * A trained reward model (a language model with a score head of one label) as a reward: the text of prompt and answer through its own tokenizer,
 * read at the last token, as it was trained. Its scores have no scale of their own: weigh them beside rules with care.
 */
import type { ModelPath } from '../../shared/job.ts';
import type { Template } from '../../shared/dataset.ts';
import { encodePieces } from '../data/tokenize.ts';
import { packTexts } from '../data/pack.ts';
import type { Device } from '../device/device.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { openModel } from '../open-model.ts';
import { renderConversation, renderExample } from '../tokenizer/template.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import type { Answer } from './rules.ts';
import type { Scorer } from './rewards.ts';

/** `shared`: a model of the same folder, on whose weights it can stand. */
export async function openRewardModel(
  device: Device,
  path: ModelPath,
  { template, perDeviceTrainBatchSize }: { template: Template; perDeviceTrainBatchSize: number },
  shared?: LanguageModel,
): Promise<Scorer> {
  const tokenizer = await loadTokenizer(path.folder);
  const { model } = await openModel(device, path, tokenizer, { storage: 'bf16-if-stored', trainable: 'none', shared });
  if (model.config.numLabels !== 1) {
    throw new Error(`${path.adapter ?? path.folder}: not a reward model (it has no score head of one label): train one with method: reward, or name another in rewards[].model`);
  }
  return {
    async score(answers) {
      const scores = new Float64Array(answers.length);
      for (let start = 0; start < answers.length; start += perDeviceTrainBatchSize) {
        const texts = answers.slice(start, start + perDeviceTrainBatchSize).map((answer) => wholeText(answer, template, tokenizer));
        const batch = await model.forwardScores(packTexts(texts.map((tokens) => tokens.slice(0, model.config.maxPositionEmbeddings))));
        scores.set(batch.scores, start);
      }
      return scores;
    },
    close: async () => model.free(),
  };
}

/** Up to the end-of-turn token, which is where the score is read. */
function wholeText({ prompt, completion }: Answer, template: Template, tokenizer: Tokenizer): Int32Array {
  const pieces = typeof prompt === 'string'
    ? renderExample({ kind: 'completion', prompt, completion }, template, tokenizer)
    : renderConversation([...prompt, { role: 'assistant', content: completion }], template, tokenizer);
  const { tokens, loss } = encodePieces(pieces, tokenizer);
  return Int32Array.from(tokens.slice(0, loss.lastIndexOf(1) + 1));
}
