/**
 * Starts an engine process for one job and gives its events as an async iterable. It knows no job's meaning.
 * The engine lives in a process group of its own, so that Ctrl-C reaches it as a `stop` and not as a signal; it ends when this process does,
 * because its channel closes.
 */
import { fork, type ChildProcess } from 'node:child_process';
import type { EngineCommand, EngineEvent, Job } from '../shared/job.ts';
import { ENGINE, NODE } from './paths.ts';

export type Engine = {
  pid: number;
  /** Ends after `done`. Throws what an `error` event says, or how the process ended when it ended without a word. Leaving the loop ends the process. */
  events: AsyncGenerator<EngineEvent, void, void>;
  send(command: EngineCommand): void;
  /** At once, nothing saved. */
  kill(): void;
};

/** A signal ended the process: the system was out of memory, a kernel crashed, somebody killed it. */
export class EngineKilled extends Error {
  override name = 'EngineKilled';
}

/** What an answer must be has a mistake or cannot be enforced: nothing was sampled. */
export class ConstraintRefused extends Error {}

/** What a signal most likely means here. */
const CAUSES: Partial<Record<NodeJS.Signals, string>> = { SIGBUS: ' (a model\'s file was cut short, or its drive went away, while the model was in use)' };

export function startEngine(job: Job): Engine {
  const child = fork(ENGINE, [], {
    execPath: NODE,
    execArgv: ['--disable-warning=ExperimentalWarning'],
    serialization: 'advanced',
    stdio: ['ignore', 2, 2, 'ipc'], // stdout is the command's own
    detached: true,
    windowsHide: true,
  } as Parameters<typeof fork>[2]);
  const send = (command: EngineCommand): void => {
    if (child.connected) child.send(command, () => {}); // a process that is gone says so by its exit
  };
  const events = readEvents(child);
  send({ type: 'job', job });
  return { pid: child.pid ?? -1, events, send, kill: () => void child.kill('SIGKILL') };
}

/** A job with an answer, and nothing to steer: its `result`. */
export async function askEngine<T>(job: Job, onEvent: (event: EngineEvent) => void = () => {}): Promise<T> {
  let result: T | undefined;
  for await (const event of startEngine(job).events) {
    onEvent(event);
    if (event.type === 'result') result = event.value as T;
  }
  return result as T;
}

function readEvents(child: ChildProcess): Engine['events'] {
  const queue: EngineEvent[] = [];
  let ended: Error | null = null;
  let wake = (): void => {};
  child.on('message', (event) => {
    queue.push(event as EngineEvent);
    wake();
  });
  child.on('error', (error) => {
    ended ??= new Error(`the engine process could not be started: ${error.message}`);
    wake();
  });
  // 'close' comes after the last message, 'exit' may come before it
  child.on('close', (code, signal) => {
    ended ??= signal
      ? new EngineKilled(`the engine process was killed by ${signal}${CAUSES[signal] ?? ''}`)
      : new Error(`the engine process ended with code ${code} before its job was done`);
    wake();
  });

  return (async function* () {
    try {
      for (;;) {
        const event = queue.shift();
        if (event?.type === 'error') throw event.refused ? new ConstraintRefused(event.message) : new Error(event.message);
        if (event) yield event;
        if (event?.type === 'done') return;
        if (!event && ended !== null) throw ended;
        if (!event) await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      // 'exit', not 'close': a channel closed from both sides at once leaves 'close' unsaid
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
        if (child.connected) child.disconnect();
        const killer = setTimeout(() => child.kill('SIGKILL'), 2000);
        await new Promise<void>((resolve) => child.once('exit', () => resolve()));
        clearTimeout(killer);
      }
    }
  })();
}
