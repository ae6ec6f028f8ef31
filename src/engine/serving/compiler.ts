/**
 * Works out what served answers must be in a thread of its own, so that no stream waits for somebody's schema: that takes milliseconds as a rule, and
 * seconds for some. One at a time, within limits of time and memory. Answers are read again by the network alone.
 */
import { Worker } from 'node:worker_threads';
import type { Constraint } from '../../shared/constraint.ts';
import { compileNetwork } from '../sampling/constraint/compile.ts';
import { type CompiledConstraint, ConstraintError } from '../sampling/constraint/constraint.ts';
import { unpackNetwork } from '../sampling/constraint/packed-network.ts';
import { vocabularyOf } from '../sampling/constraint/vocabulary.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { CompileReply, CompileRequest } from './compile-worker.ts';

/** Of one constraint, ms. */
const TIME = 20_000;
/** MiB of the thread's heap. */
const MEMORY = 1024;

/** Beside this file: source run as it is, or in the build, where it is an entry of its own (electron.vite.config.ts). */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? './compile-worker.ts' : './compile-worker.js', import.meta.url);

/** Throws a ConstraintError that names what is wrong, cannot be enforced, or takes too long. `limit` is for tests. */
export function createCompiler(tokenizer: Tokenizer, limit = TIME): (constraint: Constraint) => Promise<CompiledConstraint> {
  const { byteIds } = vocabularyOf(tokenizer); // before the first request, since it takes a while
  const usable = Array.from(byteIds, (id) => id >= 0);
  let worker: Worker | null = null;
  let turns: Promise<unknown> = Promise.resolve();

  function ask(request: CompileRequest): Promise<CompileReply> {
    worker ??= new Worker(WORKER, { resourceLimits: { maxOldGenerationSizeMb: MEMORY }, env: {}, stdin: false, execArgv: ['--disable-warning=ExperimentalWarning'] });
    const asked = worker;
    asked.ref();
    return new Promise((resolve, reject) => {
      const fail = (message: string): void => {
        worker = null; // the next one gets a fresh thread
        void asked.terminate();
        end(() => reject(new ConstraintError(message)));
      };
      const timer = setTimeout(() => fail(`it took longer than ${limit / 1000} s to work out what is asked for: give shorter lengths and fewer alternatives`), limit);
      const exited = (): void => fail('it took too much memory to work out what is asked for: give shorter lengths and fewer alternatives');
      const take = (reply: CompileReply): void => end(() => resolve(reply));
      const end = (how: () => void): void => {
        clearTimeout(timer);
        asked.off('message', take).off('error', exited).off('exit', exited);
        asked.on('error', () => {}); // of one that is being ended
        asked.unref();
        how();
      };
      asked.on('message', take).on('error', exited).on('exit', exited);
      asked.postMessage(request);
    });
  }

  return (constraint) => {
    const turn = turns.then(async () => {
      const reply = await ask({ constraint, usable });
      if ('refused' in reply) throw new ConstraintError(reply.refused.message, reply.refused);
      return compileNetwork(constraint, unpackNetwork(reply.network), tokenizer, null);
    });
    turns = turn.catch(() => {});
    return turn;
  };
}
