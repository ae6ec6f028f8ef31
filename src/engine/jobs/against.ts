/**
 * Two models on one text, token by token: each one's own log-prob of the token that stands there, how far apart their whole distributions are, and
 * where they would have written another token. For `attune logprobs --against`; the window reads answers through look.ts, text against text.
 */
import type { LogprobsJob } from '../../shared/job.ts';
import type { LogprobsResult } from '../../shared/job-results.ts';
import type { Device } from '../device/device.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { openModel } from '../open-model.ts';
import { argmax } from '../sampling/filters.ts';
import { summarise } from '../sampling/sample.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import { rowKl } from './divergence.ts';

/** Logits held at once of each model, floats: 32 MiB. */
const MOST_LOGITS = 2 ** 23;

/** Both models are in memory; of their logits only so many rows at once. */
export async function compareLogprobs({ text, model: path, against: otherPath }: LogprobsJob & { against: NonNullable<LogprobsJob['against']> }, device: Device): Promise<LogprobsResult> {
  const [tokenizer, otherTokenizer] = [await loadTokenizer(path.folder), await loadTokenizer(otherPath.folder)];
  const ids = tokenizer.encode(text, { addSpecialTokens: true });
  const otherIds = otherTokenizer.encode(text, { addSpecialTokens: true });
  if (ids.length === 0) throw new Error('--text has no tokens: give it some text');
  checkSameTokens([ids, tokenizer], [otherIds, otherTokenizer]);
  const { model } = await openModel(device, path, tokenizer, { storage: 'bf16-if-stored', trainable: 'none' });
  const { model: other } = await openModel(device, otherPath, otherTokenizer, { storage: 'bf16-if-stored', trainable: 'none' });
  const V = model.config.vocabSize;
  if (other.config.vocabSize !== V) throw new Error(`--against: the models have vocabularies of ${V} and ${other.config.vocabSize} tokens, so their distributions cannot be compared: choose one of the same family`);

  const logprobs: (number | null)[] = [null];
  const against: NonNullable<LogprobsResult['against']> = { logprobs: [null], kl: [null], likeliest: [null] };
  const piece = Math.max(1, Math.floor(MOST_LOGITS / V));
  const nextOf = [nextLogits(model, ids), nextLogits(other, ids)];
  try {
    for (let start = 0; start + 1 < ids.length; start += piece) {
      const [own, others] = [await nextOf[0].take(piece), await nextOf[1].take(piece)];
      for (let i = 0; i * V < own.length && start + i + 1 < ids.length; i++) {
        const id = ids[start + i + 1];
        const [p, q] = [own.subarray(i * V, (i + 1) * V), others.subarray(i * V, (i + 1) * V)];
        logprobs.push(p[id] - summarise(p).logSumExp);
        against.logprobs.push(q[id] - summarise(q).logSumExp);
        against.kl.push(rowKl(p, q));
        against.likeliest.push([tokenizer.token(argmax(p)), tokenizer.token(argmax(q))]);
      }
    }
  } finally {
    for (const { free } of nextOf) free();
    for (const one of [model, other]) one.free();
  }
  return { ids, tokens: ids.map((id) => tokenizer.token(id)), logprobs, against };
}

function checkSameTokens(...both: [ids: number[], tokenizer: Tokenizer][]): void {
  const [own, other] = both.map(([ids, tokenizer]) => ids.map((id) => [id, tokenizer.token(id)]));
  if (JSON.stringify(own) !== JSON.stringify(other)) {
    throw new Error(`--against: the other model cuts this text into ${other.length === own.length ? 'other' : other.length} tokens${other.length === own.length ? '' : `, this one into ${own.length}`}: only models with the same tokenizer can be held against each other token by token`);
  }
}

/** Logits (rows, V) after each token of a text, some tokens at a time, in order. */
function nextLogits(model: LanguageModel, ids: number[]): { take(count: number): Promise<Float32Array>; free(): void } {
  const limit = model.config.maxPositionEmbeddings;
  if (ids.length > limit) throw new Error(`the text has ${ids.length} tokens, the model takes ${limit} in all: shorten it`);
  const cache = model.createCache(ids.length);
  const sequence = cache.open(ids.length);
  let read = 0;
  return {
    take(count) {
      const tokens = ids.slice(read, (read += count));
      return model.decode(cache, [{ sequence, tokens }], { every: true });
    },
    free: () => cache.free(),
  };
}
