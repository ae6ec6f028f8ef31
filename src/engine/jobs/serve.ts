/** The `serve` job: a loaded model with its scheduler (serving/scheduler.ts). Requests come as messages, and it stays until its channel closes. */
import type { EngineEvent, ServeJob } from '../../shared/job.ts';
import type { ServedPrompt, ServeRequest } from '../../shared/serving.ts';
import type { Device } from '../device/device.ts';
import { openModel } from '../open-model.ts';
import { createCompiler } from '../serving/compiler.ts';
import { createScheduler, type Scheduler } from '../serving/scheduler.ts';
import { createToolCalls } from '../serving/tool-calls.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import { promptTokens, storageOf } from './sample.ts';

export async function openServer(job: ServeJob, device: Device, emit: (event: EngineEvent) => void, failed: (error: unknown) => void): Promise<Scheduler> {
  const tokenizer = await loadTokenizer(job.model.folder);
  const { model } = await openModel(device, job.model, tokenizer, { storage: storageOf(job.dtype), trainable: 'none' });
  if (model.score) throw new Error(`${job.model.adapter ?? job.model.folder}: this model scores texts and writes none: serve a language model`);
  const toolCalls = createToolCalls(tokenizer);
  const scheduler = createScheduler(model, tokenizer, {
    compile: createCompiler(tokenizer),
    promptTokens: (prompt: ServedPrompt) => ('tokens' in prompt ? prompt.tokens : promptTokens(prompt, job.template, tokenizer)),
    emit: (events) => emit({ type: 'served', events: toolCalls.read(events) }),
    failed,
  });
  return {
    ...scheduler,
    submit(request) {
      let prepared: ServeRequest;
      try {
        if (job.template !== 'chat' && request.type === 'complete' && request.calls !== null) throw new Error(`the ${job.template} template has no form for tools: serve with the model's own chat template`);
        prepared = toolCalls.prepare(request);
      } catch (error) {
        return emit({ type: 'served', events: [{ type: 'refused', id: request.id, message: (error as Error).message, tooLong: false }] });
      }
      scheduler.submit(prepared);
    },
  };
}
