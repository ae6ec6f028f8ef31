/**
 * A limit of time for work that may never end by itself: a regular expression somebody wrote, run by an engine that backtracks. The work is ended
 * in its midst, so it must leave nothing half done behind. Not a sandbox (rewards/sandbox.ts): what runs here is our own but for the pattern.
 */
import { createContext, Script } from 'node:vm';

export class OutOfTime extends Error {}

const context = createContext(Object.create(null) as { work?: () => void });
const script = new Script('work()');

/** What `work` returns, within `limit` ms; throws OutOfTime beyond. Costs about 0.1 ms. */
export function withinTime<T>(limit: number, work: () => T): T {
  let result: T;
  context.work = () => {
    result = work();
  };
  try {
    script.runInContext(context, { timeout: limit });
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? new OutOfTime(`longer than ${limit} ms`) : error;
  }
  return result!;
}

/** Of a pattern on one text, ms. */
const PATTERN_TIME = 1000;

/** A person's pattern on a text. Throws one sentence where it would take too long: some try ever more ways to match, and none fits. */
export function matchOf(pattern: RegExp, text: string): RegExpExecArray | null {
  try {
    return withinTime(PATTERN_TIME, () => pattern.exec(text));
  } catch (error) {
    if (!(error instanceof OutOfTime)) throw error;
    throw new Error(`the pattern ${pattern.source} took longer than ${PATTERN_TIME} ms on ${JSON.stringify(text.slice(0, 80))}: write it without a repetition inside a repetition`, { cause: error });
  }
}
