/** The jobs that look at text rather than change a model: `logprobs`, `tokenize`, `show`, `render`. */
import type { Example } from '../../shared/dataset.ts';
import type { EngineCommand, EngineEvent, LogprobsJob, RenderJob, ShowJob, ShownExample, TokenizeJob } from '../../shared/job.ts';
import type { LogprobsResult, TokenizeResult } from '../../shared/job-results.ts';
import { answered, packSequences } from '../data/pack.ts';
import { readExamples } from '../data/read.ts';
import { tokenizeExample, tokenizePreference, tokenizeRanking, tokenizeText, type TokenizeSettings, tokenizeUnpaired } from '../data/tokenize.ts';
import type { Device } from '../device/device.ts';
import { openModel } from '../open-model.ts';
import { createDecoder } from '../tokenizer/stream.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';
import { compareLogprobs } from './against.ts';

/** Log-prob (nats) of every token of a text given those before it; the first has none. */
export async function logprobs(job: LogprobsJob, device: Device): Promise<LogprobsResult> {
  if (job.against) return compareLogprobs({ ...job, against: job.against }, device);
  const tokenizer = await loadTokenizer(job.model.folder);
  const ids = tokenizer.encode(job.text, { addSpecialTokens: true });
  if (ids.length === 0) throw new Error('--text has no tokens: give it some text');
  const { model } = await openModel(device, job.model, tokenizer, { storage: 'bf16-if-stored', trainable: 'none' });
  const tokens = Int32Array.from(ids);
  const forward = await model.forward(packSequences([{ tokens, loss: new Uint8Array(ids.length).fill(1) }]), {});
  return { ids, tokens: ids.map((id) => tokenizer.token(id)), logprobs: [null, ...forward.logprobs] };
}

export async function tokenize(job: TokenizeJob): Promise<TokenizeResult> {
  const tokenizer = await loadTokenizer(job.model.folder);
  const ids = tokenizer.encode(job.text, { addSpecialTokens: true });
  return { ids, tokens: ids.map((id) => tokenizer.token(id)) };
}

/** The first rows as the trainer would see them. */
export async function show(job: ShowJob): Promise<ShownExample[]> {
  const tokenizer = await loadTokenizer(job.model.folder);
  const shown: ShownExample[] = [];
  for await (const example of readExamples(job.examples)) {
    shown.push(...showExample(example, { ...job, tokenizer }));
    if (shown.length >= job.limit) break;
  }
  return shown;
}

export type Render = (asked: Extract<EngineCommand, { type: 'render' }>) => Extract<EngineEvent, { type: 'rendered' }>;

/** A loaded tokenizer that shows one row at a time; what it cannot show it says why. */
export async function openRenderer(job: RenderJob): Promise<Render> {
  const tokenizer = await loadTokenizer(job.model.folder);
  return ({ id, example, ...settings }) => {
    try {
      return { type: 'rendered', id, shown: showExample(example, { ...settings, tokenizer }), error: null };
    } catch (error) {
      return { type: 'rendered', id, shown: [], error: (error as Error).message };
    }
  };
}

/** Each token with whether it carries loss. A pair shows its two answers one after the other, chosen first. */
function showExample(example: Example, settings: TokenizeSettings): ShownExample[] {
  const { tokenizer } = settings;
  if (example.kind === 'preference') {
    const { prompt, chosen, rejected, truncated } = tokenizePreference(example, settings);
    return [chosen, rejected].map((answer) => ({
      pieces: showTokens([...prompt, ...answer], tokenizer, (i) => i >= prompt.length),
      truncated,
    }));
  }
  if (example.kind === 'ranking') {
    const { prompt, answers } = tokenizeRanking(example, settings);
    // a reward model reads each answer to its end and scores it there
    return answers.map((answer) => ({
      pieces: showTokens([...prompt, ...answer], tokenizer, (i) => i === prompt.length + answer.length - 1),
      truncated: prompt.length + answer.length > settings.maxLength,
    }));
  }
  if (example.kind === 'classification') {
    const tokens = tokenizeText(example.text, tokenizer);
    return [{ pieces: showTokens([...tokens], tokenizer, (i) => i === tokens.length - 1), truncated: tokens.length > settings.maxLength }];
  }
  if (example.kind === 'unpaired') {
    const { prompt, completion } = tokenizeUnpaired(example, settings);
    const { tokens } = answered(prompt, completion, settings.maxLength);
    return [{ pieces: showTokens([...tokens], tokenizer, (i) => i >= prompt.length), truncated: prompt.length + completion.length > tokens.length }];
  }
  const { tokens, loss, truncated } = tokenizeExample(example, settings);
  return [{ pieces: showTokens([...tokens], tokenizer, (i) => i > 0 && loss[i] === 1), truncated }];
}

/** Texts that join to the whole: a character cut over several tokens stands at the last of them. */
function showTokens(ids: number[], tokenizer: Tokenizer, loss: (i: number) => boolean): ShownExample['pieces'] {
  const decoder = createDecoder(tokenizer, { skipSpecialTokens: false });
  const pieces = ids.map((id, i) => ({ id, text: decoder.push(id), loss: loss(i) }));
  if (pieces.length > 0) pieces[pieces.length - 1].text += decoder.end();
  return pieces;
}
