/** The `serve` job: a loaded model with its scheduler (serving/scheduler.ts). Requests come as messages, and it stays until its channel closes. */
import type { EngineEvent, ServeJob } from '../../shared/job.ts';
import type { ServedPrompt } from '../../shared/serving.ts';
import type { Device } from '../device/device.ts';
import { openModel } from '../open-model.ts';
import { createCompiler } from '../serving/compiler.ts';
import { createScheduler, type Scheduler } from '../serving/scheduler.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import { promptTokens, storageOf } from './sample.ts';

export async function openServer(job: ServeJob, device: Device, emit: (event: EngineEvent) => void, failed: (error: unknown) => void): Promise<Scheduler> {
  const tokenizer = await loadTokenizer(job.model.folder);
  const { model } = await openModel(device, job.model, tokenizer, { storage: storageOf(job.dtype), trainable: 'none' });
  if (model.score) throw new Error(`${job.model.adapter ?? job.model.folder}: this model scores texts and writes none: serve a language model`);
  return createScheduler(model, tokenizer, {
    compile: createCompiler(tokenizer),
    promptTokens: (prompt: ServedPrompt) => ('tokens' in prompt ? prompt.tokens : promptTokens(prompt, job.template, tokenizer)),
    emit: (events) => emit({ type: 'served', events }),
    failed,
  });
}
