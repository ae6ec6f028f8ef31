/**
 * The `llamacpp` job: llama.cpp (node-llama-cpp, where the person has it) reads an exported GGUF file and is given the same tokens as our
 * engine was; what it finds likeliest, and the log-probs, are held against ours. It runs alone in its process: an abort of llama.cpp's ends it.
 */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ForcedText, LlamaCppJob } from '../../shared/job.ts';
import type { LlamaCppParity } from '../../shared/job-results.ts';

/** What is used of node-llama-cpp 3. */
type Answer = { next: { logits?: Map<number, number> } } | undefined;
type Sequence = { clearHistory(): Promise<void>; controlledEvaluate(input: unknown[]): Promise<Answer[]> };
type Model = {
  tokenize(text: string, special: boolean): number[];
  tokens: { bos: number | null; shouldPrependBosToken: boolean; eos: number | null };
  createContext(options: object): Promise<{ getSequence(): Sequence }>;
};
type Library = { getLlama(options: object): Promise<{ loadModel(options: object): Promise<Model> }> };

/** The least llama.cpp takes: Phi 3's frequencies change with the size asked for. */
const CONTEXT = 256;

export async function checkLlamaCpp({ entry, gguf, lora, forced }: LlamaCppJob, count: (done: number, total: number) => void): Promise<LlamaCppParity> {
  const { getLlama } = (await import(pathToFileURL(entry).href)) as Library;
  // key/value cache in F32, so that only the file's own rounding counts
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'error' });
  const model = await llama.loadModel({ modelPath: gguf, gpuLayers: 0 });
  const longest = Math.max(...forced.map(({ prompt, answer }) => prompt.length + answer.length));
  const context = await model.createContext({ contextSize: Math.max(CONTEXT, longest), batchSize: CONTEXT, threads: Math.ceil(availableParallelism() / 2), flashAttention: false, experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32', lora });
  const sequence = context.getSequence();
  const result: LlamaCppParity = { version: await versionOf(entry), texts: 0, sameTexts: 0, tokens: 0, sameTokens: 0, maxLogprobDifference: 0 };
  for (const [i, text] of forced.entries()) {
    compareTokens(model, text, result);
    await compareLogits(sequence, text, result);
    count(i + 1, forced.length);
  }
  return result;
}

function compareTokens(model: Model, { text, prompt }: ForcedText, result: LlamaCppParity): void {
  if (text === null) return;
  const first = model.tokens.shouldPrependBosToken && model.tokens.bos !== null ? [model.tokens.bos] : [];
  // the package's tokenize adds no end, which a tokenizer may ask for
  const open = prompt.at(-1) === model.tokens.eos ? prompt.slice(0, -1) : prompt;
  result.texts++;
  if (JSON.stringify([...first, ...model.tokenize(text, true)]) === JSON.stringify(open)) result.sameTexts++;
}

async function compareLogits(sequence: Sequence, { prompt, answer, logprobs, best }: ForcedText, result: LlamaCppParity): Promise<void> {
  if (prompt.length === 0 || answer.length === 0) return;
  await sequence.clearHistory();
  // place prompt.length − 1 predicts the answer's first token; after its last there is nothing we know
  const tokens = [...prompt, ...answer.slice(0, -1)];
  const asked = tokens.map((token, i) => (i < prompt.length - 1 ? token : [token, { generateNext: { logits: true, options: { temperature: 0 } } }]));
  const answers = await sequence.controlledEvaluate(asked);
  for (const [i, id] of answer.entries()) {
    const logits = answers[prompt.length - 1 + i]!.next.logits!;
    const [likeliest, highest] = logits.entries().next().value!; // sorted, highest first
    let sum = 0;
    for (const logit of logits.values()) sum += Math.exp(logit - highest);
    const difference = Math.abs(logits.get(id)! - highest - Math.log(sum) - logprobs[i]!);
    result.tokens++;
    if (likeliest === best[i]) result.sameTokens++;
    result.maxLogprobDifference = Math.max(result.maxLogprobDifference, Number.isNaN(difference) ? Infinity : difference);
  }
}

async function versionOf(entry: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(dirname(dirname(entry)), 'package.json'), 'utf8')) as { version: string };
  return `node-llama-cpp ${version}`;
}
