/**
 * Runs a reward that is code (a user's JavaScript function, a regular expression) in a thread of its own with limits of time and memory.
 * It protects a run from mistakes: endless loops, runaway memory, chance and clocks that would make a resumed run differ. The code sees no module,
 * process, file, network, timer or clock, and code cannot be made from strings. It is not a wall against malice: node:vm is no security boundary,
 * so a recipe from somebody you do not trust is to be read before it is run, as any program.
 */
import { Worker } from 'node:worker_threads';
import type { Answer } from './rules.ts';

export interface Sandbox {
  score(answers: Answer[]): Promise<number[]>;
  close(): Promise<void>;
}

/** MiB of the thread's heap. */
const MEMORY = 64;
/** Starting the thread, and what stands between two answers, ms. */
const SLACK = 10_000;

/** Beside this file: source run as it is, or in the build, where it is an entry of its own (electron.vite.config.ts). */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? './sandbox-worker.ts' : './sandbox-worker.js', import.meta.url);

/** `code` is an expression that is a function; `name` stands in errors; `timeLimit` in ms is of one answer. */
export function createSandbox(name: string, code: string, timeLimit: number): Sandbox {
  const worker = new Worker(WORKER, {
    workerData: { code, timeLimit },
    resourceLimits: { maxOldGenerationSizeMb: MEMORY, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
    env: {},
    stdin: false,
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  worker.unref();
  let ended: string | null = null;
  worker.on('error', (error) => (ended ??= error.message));

  return {
    score(answers) {
      return new Promise<number[]>((resolve, reject) => {
        const fail = (why: string): void => settle(() => reject(new Error(`reward ${name}: ${why}: mend it in the recipe`)));
        const timer = setTimeout(() => {
          void worker.terminate();
          fail(`it took longer than its time limit (${timeLimit} ms an answer)`);
        }, SLACK + answers.length * timeLimit);
        const exited = (): void => fail(ended ?? 'its thread ended');
        const take = (message: { scores: number[] } | { failed: number; message: string }): void => {
          if ('scores' in message) settle(() => resolve(message.scores));
          else fail(`${message.message.replace(/^Script execution timed out after \d+ms$/, `it took longer than its time limit (${timeLimit} ms)`)}, for the answer ${JSON.stringify(answers[message.failed].completion.slice(0, 80))}`);
        };
        const settle = (how: () => void): void => {
          clearTimeout(timer);
          worker.off('message', take).off('exit', exited);
          worker.unref();
          how();
        };
        if (ended !== null) return exited();
        worker.ref();
        worker.on('message', take).on('exit', exited);
        worker.postMessage(answers.map(({ prompt, completion, expected }) => JSON.stringify({ prompt, completion, expected })));
      });
    },
    close: async () => void (await worker.terminate()),
  };
}
