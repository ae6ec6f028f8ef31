/**
 * The thread in which a recipe's own code runs (sandbox.ts starts it and says what it protects from). One function a context; texts go in as JSON,
 * a number comes out, and no object of this side is ever within the code's reach.
 */
import { createContext, Script } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';

const { code, timeLimit } = workerData as { code: string; timeLimit: number };

const context = createContext(Object.create(null) as object, { codeGeneration: { strings: false, wasm: false }, microtaskMode: 'afterEvaluate' });
// without chance and clock a score depends on the answer alone, and a resumed run repeats
new Script('"use strict"; delete globalThis.Date; delete Math.random; delete globalThis.WebAssembly; delete globalThis.SharedArrayBuffer; delete globalThis.Atomics;').runInContext(context);

let start: string | null = null;
try {
  new Script(`globalThis.score = (${code}\n); if (typeof score !== 'function') throw new TypeError('it is not a function');`, { filename: 'reward.js' }).runInContext(context, { timeout: timeLimit });
} catch (error) {
  start = textOf(error);
}

parentPort!.on('message', (answers: string[]) => {
  const scores: number[] = [];
  for (const [index, json] of answers.entries()) {
    try {
      if (start !== null) throw new Error(start);
      (context as { input?: string }).input = json;
      const value: unknown = new Script('score(JSON.parse(input))').runInContext(context, { timeout: timeLimit });
      // a boolean is a fair answer of a rule; anything else would be guessed at
      const score = typeof value === 'boolean' ? Number(value) : value;
      if (typeof score !== 'number' || !Number.isFinite(score)) throw new Error(`it gave ${typeof value === 'object' ? 'an object' : String(value)}, not a finite number`);
      scores.push(score);
    } catch (error) {
      parentPort!.postMessage({ failed: index, message: textOf(error) });
      return;
    }
  }
  parentPort!.postMessage({ scores });
});

/** Errors of the context are not of this side's Error. */
function textOf(error: unknown): string {
  try {
    return String((error as { message?: unknown }).message ?? error);
  } catch {
    return 'it threw something that cannot be read';
  }
}
