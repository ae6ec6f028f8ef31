/** The `sample` and `chat` jobs: prompts rendered, completed and streamed as events. Not the decoding itself (sampling/generate.ts). */
import type { Constraint, Validity } from '../../shared/constraint.ts';
import type { Template } from '../../shared/dataset.ts';
import type { ChatJob, Dtype, EngineCommand, EngineEvent, Prompt, SampleJob } from '../../shared/job.ts';
import type { Device } from '../device/device.ts';
import { openModel } from '../open-model.ts';
import { compileConstraint } from '../sampling/constraint/compile.ts';
import type { CompiledConstraint } from '../sampling/constraint/constraint.ts';
import { generate, type GenerateEvent } from '../sampling/generate.ts';
import { lookAt, readText } from './look.ts';
import { encodePieces } from '../data/tokenize.ts';
import { renderPrompt } from '../tokenizer/template.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';

type Emit = (event: EngineEvent) => void;

export const storageOf = (dtype: Dtype) => (dtype === 'stored' ? 'bf16-if-stored' : dtype);

export async function sample(job: SampleJob, device: Device, cancelled: () => boolean, emit: Emit): Promise<void> {
  const tokenizer = await loadTokenizer(job.model.folder);
  const constraint = job.constraint ? compileConstraint(job.constraint, tokenizer) : null; // what cannot be enforced is told before a weight is read
  const { model } = await openModel(device, job.model, tokenizer, { storage: storageOf(job.dtype), trainable: 'none' });
  const prompts = job.prompts.map((prompt) => promptTokens(prompt, job.template, tokenizer));
  const masking = constraint?.masks ? constraint : null;
  for await (const event of generate(model, tokenizer, prompts, job.sampling, { batchSize: job.batchSize, cancelled, constraint: masking })) emit(judged(event, constraint));
}

/** A completion with whether it is what was asked for. */
function judged(event: GenerateEvent, constraint: CompiledConstraint | null): GenerateEvent & { validity?: Validity } {
  return event.type === 'completion' && constraint ? { ...event, validity: constraint.validate(event.text) } : event;
}

export type ChatCommand = Extract<EngineCommand, { type: 'chat' | 'look' | 'read' }>;

/** Answers one conversation, or looks at it. A prompt that cannot be answered (it is too long, the template refuses it) is told as `refused`. */
export type Chat = (command: ChatCommand, cancelled: () => boolean, emit: Emit) => Promise<void>;

/** A loaded model that does one thing at a time. */
export async function openChat(job: ChatJob, device: Device): Promise<Chat> {
  const tokenizer = await loadTokenizer(job.model.folder);
  const { model } = await openModel(device, job.model, tokenizer, { storage: storageOf(job.dtype), trainable: 'none' });
  if (model.score) throw new Error(`${job.model.adapter ?? job.model.folder}: this model scores texts and writes none: choose a language model to talk to, or use it with attune score`);
  let last: { key: string; constraint: CompiledConstraint } | null = null; // the next answer is mostly asked for alike
  const compiled = (constraint: Constraint): CompiledConstraint => {
    const key = JSON.stringify(constraint);
    if (last?.key !== key) last = { key, constraint: compileConstraint(constraint, tokenizer) };
    return last.constraint;
  };
  return async (command, cancelled, emit) => {
    try {
      const prompt = promptTokens({ messages: command.messages }, job.template, tokenizer);
      if (command.type === 'look') emit({ type: 'looked', trace: await lookAt(model, tokenizer, prompt, command.completion, command.sampling, command.count) });
      else if (command.type === 'read') emit({ type: 'read', read: await readText(model, tokenizer, prompt, typeof command.completion === 'string' ? tokenizer.encode(command.completion) : command.completion) });
      else {
        const constraint = command.constraint ? compiled(command.constraint) : null;
        const options = { ...command, batchSize: 1, cancelled, constraint: constraint?.masks ? constraint : null };
        for await (const event of generate(model, tokenizer, [prompt], command.sampling, options)) emit(judged(event, constraint));
      }
    } catch (error) {
      emit({ type: 'refused', message: (error as Error).message });
    }
  };
}

export function promptTokens(prompt: Prompt, template: Template, tokenizer: Tokenizer): number[] {
  if ('raw' in prompt) {
    const ids = tokenizer.encode(prompt.raw, { addSpecialTokens: true });
    // an empty raw prompt starts a text: the beginning-of-text token where the model has one, else the token that ends the text before
    if (ids.length > 0) return ids;
    const first = tokenizer.bosId ?? tokenizer.eosIds[0];
    return first === undefined ? [] : [first];
  }
  return encodePieces(renderPrompt(prompt.messages, template, tokenizer, prompt.tools), tokenizer).tokens;
}
