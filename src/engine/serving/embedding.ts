/** A text's embedding: the mean of its tokens' last hidden states (behind the final norm), made to have length 1. One text at a time. */
import type { LanguageModel } from '../model/language-model.ts';

/** (C) */
export async function embedding(model: LanguageModel, tokens: number[]): Promise<Float32Array> {
  const N = tokens.length, C = model.config.hiddenSize;
  const places = Int32Array.from(tokens, (_, i) => i);
  const hidden = await model.hidden({
    tokens: Int32Array.from(tokens), positions: places, rows: places, segments: [{ start: 0, length: N, prefix: null }],
  });
  const sums = new Float64Array(C);
  for (let n = 0; n < N; n++) for (let c = 0; c < C; c++) sums[c] += hidden[n * C + c];
  const length = Math.hypot(...sums);
  return Float32Array.from(sums, (sum) => (length === 0 ? 0 : sum / length));
}
