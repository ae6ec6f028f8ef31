/**
 * Loads exported GGUF files with llama.cpp and compares with what our engine said: the tokens of every prompt, and at every place of every
 * greedy answer the most likely next token, given the same tokens before it. F32 must agree everywhere, Q8_0 at 99 % of the places.
 * Called by run.mjs: node check-llamacpp.mjs CASES.json VERDICTS.json. Key/value cache in F32, so that only the file's own rounding counts.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getLlama } from 'node-llama-cpp';

const AGREEMENT = { f32: 1, q8_0: 0.99 };
const [input, output] = process.argv.slice(2);
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'error' });
const verdicts = [];
for (const { name, type, folder, prompts } of JSON.parse(readFileSync(input, 'utf8'))) {
  const file = readdirSync(folder).find((entry) => entry.endsWith('.gguf'));
  const model = await llama.loadModel({ modelPath: join(folder, file), gpuLayers: 0 });
  const context = await model.createContext({ contextSize: 512, batchSize: 512, flashAttention: false, experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' });
  const sequence = context.getSequence();
  let sameTokens = 0;
  let places = 0;
  let agreed = 0;
  let sameAnswers = 0;
  let widest = 0; // nats by which llama.cpp preferred another token, at most
  for (const { text, ids, completion } of prompts) {
    const first = model.tokens.shouldPrependBosToken && model.tokens.bos !== null ? [model.tokens.bos] : [];
    if (JSON.stringify([...first, ...model.tokenize(text, true)]) === JSON.stringify(ids)) sameTokens++;
    await sequence.clearHistory();
    // place ids.length − 1 predicts the answer's first token; the last token of the answer predicts nothing we know
    const tokens = [...ids, ...completion.slice(0, -1)];
    const asked = tokens.map((token, i) => (i < ids.length - 1 ? token : [token, { generateNext: { logits: true, options: { temperature: 0 } } }]));
    const answers = await sequence.controlledEvaluate(asked);
    const right = completion.filter((id, i) => {
      const { logits } = answers[ids.length - 1 + i].next;
      const [best, highest] = logits.entries().next().value; // sorted, highest first
      widest = Math.max(widest, highest - logits.get(id));
      return best === id;
    }).length;
    places += completion.length;
    agreed += right;
    if (right === completion.length) sameAnswers++;
  }
  await context.dispose();
  await model.dispose();
  const detail = `tokens of ${sameTokens}/${prompts.length} prompts, top-1 at ${agreed}/${places} places (${((100 * agreed) / places).toFixed(2)} %), ${agreed < places ? `the others by at most ${widest.toFixed(2)} nats, ` : ''}greedy answers ${sameAnswers}/${prompts.length}`;
  verdicts.push({ name, detail, pass: sameTokens === prompts.length && agreed >= AGREEMENT[type] * places });
}
writeFileSync(output, JSON.stringify(verdicts));
process.exit(0); // llama.cpp's threads would keep the process
