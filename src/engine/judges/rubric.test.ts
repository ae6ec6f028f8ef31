/** The judge on the small fixture model: what it reads is the letters' log-probs, and the order of a pair's answers changes nothing. */
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import type { PreferenceExample } from '../../shared/dataset.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { packSequences } from '../data/pack.ts';
import { promptTokens } from '../jobs/sample.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { openModel } from '../open-model.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import { rubricJudge, rubricPrompt } from './rubric.ts';

const folder = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));
const pair = (chosen: string, rejected: string): PreferenceExample => ({ kind: 'preference', prompt: 'hi', chosen, rejected });
let model: LanguageModel;
let tokenizer: Tokenizer;

beforeAll(async () => {
  tokenizer = await loadTokenizer(folder);
  ({ model } = await openModel(createReferenceDevice(), { folder }, tokenizer, { storage: 'f32', trainable: 'none' }));
});

/** log p(A) − log p(B) after the whole prompt, off the logits: their normaliser is the same. */
async function lettersByLogits(a: string, b: string): Promise<number> {
  const tokens = promptTokens({ messages: [{ role: 'user', content: rubricPrompt('x', 'hi', a, b) }] }, 'chatml', tokenizer);
  const logits = await model.logits(packSequences([{ tokens: Int32Array.from([...tokens, 0]), loss: Uint8Array.from([...tokens.map(() => 0), 1]) }]));
  const [[A], [B]] = ['A', 'B'].map((letter) => tokenizer.encode(letter, { addSpecialTokens: false }));
  return logits[A] - logits[B];
}

test('a judgement is the log-odds of the letters, in both orders', async () => {
  const [judgement] = await rubricJudge(model, tokenizer, 'chatml', 'x')([pair('yes', 'no no')]);
  expect(judgement!.inOrder).toBeCloseTo(await lettersByLogits('yes', 'no no'), 4);
  expect(judgement!.swapped).toBeCloseTo(-(await lettersByLogits('no no', 'yes')), 4);
});

test('the same pair the other way round is the same judgement with its sign turned', async () => {
  const judge = rubricJudge(model, tokenizer, 'chatml', 'x');
  const [one, other] = await judge([pair('yes', 'no no'), pair('no no', 'yes')]);
  expect(other!.inOrder).toBeCloseTo(-one!.swapped, 5);
  expect(other!.swapped).toBeCloseTo(-one!.inOrder, 5);
});

test('a pair too long for the judge is left to nobody', async () => {
  const long = 'word '.repeat(model.config.maxPositionEmbeddings);
  const judgements = await rubricJudge(model, tokenizer, 'chatml', 'x')([pair(long, 'no'), pair('yes', 'no')]);
  expect(judgements.map((judgement) => judgement === null)).toEqual([true, false]);
});
