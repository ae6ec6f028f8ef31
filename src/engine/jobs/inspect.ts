/** The jobs that look at text rather than change a model: `logprobs`, `tokenize`, `show`. */
import type { LogprobsJob, LogprobsResult, ShowJob, ShownExample, TokenizeJob, TokenizeResult } from '../../shared/job.ts';
import { packSequences } from '../data/pack.ts';
import { readExamples } from '../data/read.ts';
import { tokenizeExample, tokenizePreference } from '../data/tokenize.ts';
import type { Device } from '../device/device.ts';
import { openModel } from '../open-model.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';

/** Log-prob (nats) of every token of a text given those before it; the first has none. */
export async function logprobs(job: LogprobsJob, device: Device): Promise<LogprobsResult> {
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

/** The first rows as the trainer would see them: each token with whether it carries loss. A pair shows its two answers one after the other. */
export async function show(job: ShowJob): Promise<ShownExample[]> {
  const tokenizer = await loadTokenizer(job.model.folder);
  const settings = { ...job, tokenizer };
  const piece = (id: number, loss: boolean) => ({ id, text: tokenizer.decode([id]), loss });
  const shown: ShownExample[] = [];
  for await (const example of readExamples(job.examples)) {
    if (example.kind === 'preference') {
      const { prompt, chosen, rejected, truncated } = tokenizePreference(example, settings);
      const asked = Array.from(prompt, (id) => piece(id, false));
      for (const answer of [chosen, rejected]) shown.push({ pieces: [...asked, ...Array.from(answer, (id) => piece(id, true))], truncated });
    } else {
      const { tokens, loss, truncated } = tokenizeExample(example, settings);
      shown.push({ pieces: Array.from(tokens, (id, i) => piece(id, i > 0 && loss[i] === 1)), truncated });
    }
    if (shown.length >= job.limit) break;
  }
  return shown;
}
