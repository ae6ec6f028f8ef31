/**
 * The `parity` job: what was exported is loaded again and held against the model it was made from. Both answer the same prompts greedily;
 * then both give log-probs of the model's own answers, token by token (teacher forcing), so that one early difference counts once.
 * Of a reward model or classifier the scores are held against each other instead. Whether the outcome is good enough is main's to say.
 */
import type { ForcedText, ParityJob, Prompt } from '../../shared/job.ts';
import type { ParityResult } from '../../shared/job-results.ts';
import { Sampling } from '../../shared/sampling.ts';
import { packSequences, packTexts } from '../data/pack.ts';
import type { Device } from '../device/device.ts';
import { openGguf } from '../formats/gguf-reader.ts';
import { isGgufPath, openModelFolder } from '../formats/model-folder.ts';
import { ggufTokenizer } from '../formats/gguf-tokenizer.ts';
import { type LanguageModel, loadLanguageModel } from '../model/language-model.ts';
import { openModel } from '../open-model.ts';
import { generate } from '../sampling/generate.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import { promptTokens } from './sample.ts';

type Answers = { ids: number[][]; texts: string[] };
/** Of every token of every answer: its log-prob, and the likeliest token at its place. */
type Forced = { logprobs: Float32Array; best: Int32Array };

/** The prompts but for those the template refuses, as training leaves such rows out. Where it refuses all they stay, and the first says why. */
function answerable(job: ParityJob, tokenizer: Tokenizer): Prompt[] {
  const found = job.prompts.filter((prompt) => {
    try {
      return promptTokens(withoutTemplate(prompt, job, tokenizer), job.template, tokenizer);
    } catch {
      return false;
    }
  });
  return found.length > 0 ? found : job.prompts;
}

export async function checkParity(asked: ParityJob, device: Device, count: (done: number, total: number) => void): Promise<ParityResult> {
  const tokenizer = await loadTokenizer(asked.model.folder);
  const job = { ...asked, prompts: answerable(asked, tokenizer) };
  let answered = 0;
  const tick = (): void => count(Math.floor(++answered / 2), job.prompts.length);
  const sampling = Sampling.parse({ temperature: 0, maxTokens: job.maxTokens });

  const { model: source } = await openModel(device, job.model, tokenizer, { storage: 'bf16-if-stored', trainable: 'none' });
  // of a prompt that leaves no room for an answer the end is asked
  const room = Math.max(1, source.config.maxPositionEmbeddings - job.maxTokens);
  const prompts = job.prompts.map((prompt) => promptTokens(withoutTemplate(prompt, job, tokenizer), job.template, tokenizer).slice(-room));
  if (source.score) {
    const scores = await scoresOf(source, prompts);
    source.free();
    const exported = await openExported(job, device, tokenizer);
    const others = await scoresOf(exported, prompts);
    exported.free();
    return compareScores(scores, others);
  }
  const own = await greedy(source, tokenizer, prompts, sampling, tick);
  const ownForced = await force(source, prompts, own.ids);
  const ownLogits = await logitsAfter(source, prompts);
  source.free();

  const exported = await openExported(job, device, tokenizer);
  const other = await greedy(exported, tokenizer, prompts, sampling, tick);
  const forced = await force(exported, prompts, own.ids);
  const logits = await logitsAfter(exported, prompts);
  exported.free();

  const result: ParityResult = { prompts: prompts.length, equal: 0, tokens: forced.best.length, sameTokens: 0, maxLogprobDifference: 0, maxLogitDifference: 0, forced: [], firstDifference: null };
  own.ids.forEach((ids, i) => {
    const same = ids.length === other.ids[i].length && ids.every((id, t) => id === other.ids[i][t]);
    if (same) result.equal++;
    else result.firstDifference ??= { prompt: promptText(job.prompts[i]), model: own.texts[i], exported: other.texts[i] };
  });
  own.ids.flat().forEach((id, at) => {
    // decoding and one forward pass sum in another order: at a tie they may differ on either side
    if (forced.best[at] === id || forced.best[at] === ownForced.best[at]) result.sameTokens++;
    const difference = Math.abs(forced.logprobs[at] - ownForced.logprobs[at]);
    result.maxLogprobDifference = larger(result.maxLogprobDifference, difference);
  });
  logits.forEach((row, i) => row.forEach((x, v) => (result.maxLogitDifference = larger(result.maxLogitDifference, Math.abs(x - ownLogits[i]![v]!)))));
  if ('gguf' in job.exported || (job.exported.adapter && isGgufPath(job.exported.adapter))) result.forced = forcedTexts(job, prompts, own.ids, forced);
  return result;
}

/** A scorer reads each prompt to its end. */
async function scoresOf(model: LanguageModel, prompts: number[][]): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for (const prompt of prompts) all.push((await model.forwardScores(packTexts([Int32Array.from(prompt)]))).scores);
  return all;
}

/** A score counts as a token, and is the same within rounding: five in a hundred, and of scores about zero 0.05. */
function compareScores(own: Float32Array[], others: Float32Array[]): ParityResult {
  const result: ParityResult = { prompts: own.length, equal: 0, tokens: 0, sameTokens: 0, maxLogprobDifference: 0, maxLogitDifference: 0, forced: [], firstDifference: null };
  for (const [i, scores] of own.entries()) {
    const differences = Array.from(scores, (score, label) => Math.abs(score - others[i][label]));
    if (differences.every((difference) => difference === 0)) result.equal++;
    result.tokens += scores.length;
    result.sameTokens += differences.filter((difference, label) => difference <= 0.05 * Math.max(1, Math.abs(scores[label]))).length;
    result.maxLogprobDifference = result.maxLogitDifference = differences.reduce(larger, result.maxLogprobDifference);
  }
  return result;
}

async function openExported({ model, exported }: ParityJob, device: Device, tokenizer: Tokenizer): Promise<LanguageModel> {
  if (!('gguf' in exported)) {
    const own = await loadTokenizer(exported.adapter ? model.folder : exported.folder);
    if (own.vocabSize !== tokenizer.vocabSize || Array.from({ length: own.vocabSize }, (_, id) => id).some((id) => own.token(id) !== tokenizer.token(id))) {
      throw new Error(`${exported.folder}: its tokenizer is not the model's own; export it again`);
    }
    return (await openModel(device, exported, tokenizer, { storage: 'bf16-if-stored', trainable: 'none' })).model;
  }
  const source = await openModelFolder(model.folder);
  await source.close();
  const { config } = source;
  const file = await openGguf(exported.gguf, config);
  try {
    const written = await ggufTokenizer(model.folder, config, file.tokens.length);
    const tokens = written.map(([, value]) => value).find((value) => 'strings' in value)!.strings;
    const odd = tokens.findIndex((token, id) => token !== file.tokens[id]);
    if (odd >= 0) throw new Error(`${exported.gguf}: token ${odd} is ${JSON.stringify(file.tokens[odd])}, the model has ${JSON.stringify(tokens[odd])} there; export it again`);
    return await loadLanguageModel(device, file, { storage: 'f32', trainable: 'none' });
  } finally {
    await file.close();
  }
}

async function greedy(model: LanguageModel, tokenizer: Tokenizer, prompts: number[][], sampling: Sampling, tick: () => void): Promise<Answers> {
  const answers: Answers = { ids: [], texts: [] };
  for await (const event of generate(model, tokenizer, prompts, sampling, { batchSize: 8, cancelled: () => false })) {
    if (event.type !== 'completion') continue;
    answers.ids[event.index] = event.ids;
    answers.texts[event.index] = event.text;
    tick();
  }
  return answers;
}

/** NaN is as far as can be. */
const larger = (most: number, difference: number): number => Math.max(most, Number.isNaN(difference) ? Infinity : difference);

/** (V) after each prompt. */
async function logitsAfter(model: LanguageModel, prompts: number[][]): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for (const prompt of prompts) all.push(prompt.length === 0 ? new Float32Array(0) : await model.logits(packTexts([Int32Array.from(prompt)])));
  return all;
}

/** What another program needs to be asked the same. */
function forcedTexts({ prompts: asked }: ParityJob, prompts: number[][], answers: number[][], { logprobs, best }: Forced): ForcedText[] {
  let at = 0;
  return answers.map((answer, i): ForcedText => {
    const [from, to] = [at, (at += answer.length)];
    const prompt = asked[i]!;
    return { text: 'raw' in prompt ? prompt.raw : null, prompt: prompts[i]!, answer, logprobs: [...logprobs.subarray(from, to)], best: [...best.subarray(from, to)] };
  });
}

/** One forward pass over every prompt with its answer. */
async function force(model: LanguageModel, prompts: number[][], answers: number[][]): Promise<Forced> {
  const sequences = prompts.map((prompt, i) => {
    const tokens = Int32Array.from([...prompt, ...answers[i]]);
    return { tokens, loss: Uint8Array.from(tokens, (_, t) => (t >= prompt.length ? 1 : 0)) };
  });
  const logprobs: number[] = [];
  const best: number[] = [];
  for (const sequence of sequences) {
    const forward = await model.forward(packSequences([sequence]), { best: true });
    logprobs.push(...forward.logprobs);
    best.push(...forward.best!);
  }
  return { logprobs: Float32Array.from(logprobs), best: Int32Array.from(best) };
}

/** A model without a chat template is asked the bare text. */
function withoutTemplate(prompt: Prompt, { template }: ParityJob, tokenizer: Tokenizer): Prompt {
  return 'raw' in prompt || template !== 'chat' || tokenizer.chatTemplate !== null ? prompt : { raw: promptText(prompt) };
}

function promptText(prompt: Prompt): string {
  return 'raw' in prompt ? prompt.raw : prompt.messages[prompt.messages.length - 1].content;
}
