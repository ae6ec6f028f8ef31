/**
 * The engine process: a job comes in over the IPC channel, events go out, and the process ends with the job.
 * It never sees the library or the database, and it dies with main: a closed channel ends it.
 */
import { z } from 'zod';
import { type EngineCommand, type EngineEvent, Job } from '../shared/job.ts';
import type { Device } from './device/device.ts';
import { createNativeDevice } from './device/native.ts';
import { openDevice } from './device/open.ts';
import { selfTest } from './device/self-test.ts';
import { bestOf } from './jobs/best-of.ts';
import { describe } from './jobs/describe.ts';
import { divergence } from './jobs/divergence.ts';
import { evaluate } from './jobs/evaluate.ts';
import { exportModel } from './jobs/export.ts';
import { logprobs, openRenderer, type Render, show, tokenize } from './jobs/inspect.ts';
import { diffModels, inspectModel, listVocabulary, weighModel } from './jobs/inspect-model.ts';
import { judge } from './jobs/judge.ts';
import { checkConstraint } from './jobs/constraint.ts';
import { checkLlamaCpp } from './jobs/llamacpp.ts';
import { checkParity } from './jobs/parity.ts';
import { plan } from './jobs/plan.ts';
import { type Chat, openChat, sample } from './jobs/sample.ts';
import { score } from './jobs/score.ts';
import { openServer } from './jobs/serve.ts';
import { tryRewards } from './jobs/try-rewards.ts';
import { ConstraintError } from './sampling/constraint/constraint.ts';
import { peakMemory } from './peak-memory.ts';
import { type Control, train } from './run.ts';
import type { Scheduler } from './serving/scheduler.ts';
import { ENGINE_VERSION } from './version.ts';

if (!process.send) {
  console.error('src/engine/index.ts is started by attune, not by hand: run `npx attune --help`');
  process.exit(2);
}

/** To main; when main is gone the channel's end ends this process too, so a failed send is nobody's to hear of. */
const emit = (event: EngineEvent): void => void process.send!(event, () => {});

let signalChange = (): void => {};
const control: Control = { paused: false, stopped: false, kept: -1, changed: Promise.resolve() };
let chat: Chat | null = null;
let scheduler: Scheduler | null = null;
let turns: Promise<void> = Promise.resolve();
let renderer: Promise<Render> | null = null;

process.on('disconnect', () => process.exit(1));
process.on('message', (command: EngineCommand) => {
  if (command.type === 'job') void start(command.job);
  else if (command.type === 'chat' || command.type === 'look' || command.type === 'read') {
    control.stopped = false;
    turns = turns.then(() => chat!(command, () => control.stopped, emit)).catch(fail);
  } else if (command.type === 'serve') scheduler!.submit(command.request);
  else if (command.type === 'cancel') scheduler!.cancel(command.id);
  else if (command.type === 'kept') control.kept = command.step;
  else if (command.type === 'render') {
    renderer?.then((render) => emit(render(command))).catch(() => {}); // a tokenizer that cannot be loaded fails its job
  } else {
    if (command.type === 'stop') control.stopped = true;
    else control.paused = command.type === 'pause';
    signalChange();
    control.changed = nextChange();
  }
});
control.changed = nextChange();

function nextChange(): Promise<void> {
  return new Promise((resolve) => (signalChange = resolve));
}

async function start(received: unknown): Promise<void> {
  try {
    const parsed = Job.safeParse(received);
    if (!parsed.success) throw new Error(`the job is not what src/shared/job.ts says: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
    const job = parsed.data;
    const device = 'device' in job ? await openDevice(job.device, job.threads) : null;
    emit({ type: 'ready', device: device?.description ?? 'no device', memoryBytes: device?.memoryBytes, engineVersion: ENGINE_VERSION });
    const stopped = await run(job, device);
    if (job.type === 'chat' || job.type === 'serve' || job.type === 'render') return; // stays, and ends with its channel
    const peakMemoryBytes = peakMemory();
    process.send!({ type: 'done', stopped, peakMemoryBytes } satisfies EngineEvent, () => process.exit(0));
  } catch (error) {
    fail(error);
  }
}

/** True when a person stopped it before its end. */
async function run(job: Job, device: Device | null): Promise<boolean> {
  const note = (text: string): void => emit({ type: 'note', text });
  const result = (value: unknown): void => emit({ type: 'result', value });
  const count = (done: number, total: number, already?: number): void => emit({ type: 'count', done, total, already });
  switch (job.type) {
    case 'constraint':
      result(await checkConstraint(job));
      return false;
    case 'train':
      return (await train(job, device!, () => control, emit)).stopped;
    case 'sample':
      await sample(job, device!, () => control.stopped, emit);
      return control.stopped;
    case 'best-of':
      result(await bestOf(job, device!, count));
      return false;
    case 'chat':
      chat = await openChat(job, device!);
      result(null);
      return false;
    case 'serve':
      scheduler = await openServer(job, device!, emit, fail);
      result(scheduler.served);
      return false;
    case 'logprobs':
      result(await logprobs(job, device!));
      return false;
    case 'tokenize':
      result(await tokenize(job));
      return false;
    case 'evaluate':
      result(await evaluate(job, device!, note));
      return false;
    case 'judge':
      result(await judge(job, device!, count));
      return false;
    case 'divergence':
      result(await divergence(job, device!, count));
      return false;
    case 'score':
      result(await score(job, device!, emit));
      return false;
    case 'try-rewards':
      result(await tryRewards(job, device!));
      return false;
    case 'export':
      result(await exportModel(job, () => createNativeDevice(0), count));
      return false;
    case 'parity':
      result(await checkParity(job, device!, count));
      return false;
    case 'llamacpp':
      result(await checkLlamaCpp(job, count));
      return false;
    case 'device':
      if (job.selfTest) result(await selfTest(device!));
      return false;
    case 'show':
      result(await show(job));
      return false;
    case 'render':
      renderer = openRenderer(job);
      await renderer;
      return false;
    case 'describe':
      result(await describe(job.folders));
      return false;
    case 'inspect':
      result(await inspectModel(job));
      return false;
    case 'vocabulary':
      result(await listVocabulary(job));
      return false;
    case 'weigh':
      result(await weighModel(job, count));
      return false;
    case 'diff':
      result(await diffModels(job, () => createNativeDevice(0), count));
      return false;
    case 'plan':
      result(await plan(job, device!));
      return false;
  }
}

function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  if (process.env.ATTUNE_DEBUG) console.error(error);
  process.send!({ type: 'error', message, refused: error instanceof ConstraintError } satisfies EngineEvent, () => process.exit(1));
}
