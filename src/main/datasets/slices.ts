/** Much work on the database, a few ms at a time: neither this process nor another one waits for long. */
import type { Database } from '../db/database.ts';

/** ms a transaction may take before others get their turn; the step at hand is finished first. */
const SLICE = 6;

/** Calls `step` until it says that was all, several times in a transaction, with pauses between transactions. Not atomic as a whole. */
export async function inSlices(db: Database, step: () => boolean): Promise<void> {
  const slice = db.transaction(() => {
    const until = performance.now() + SLICE;
    let more = step();
    while (more && performance.now() < until) more = step();
    return more;
  });
  while (slice.immediate()) await new Promise(setImmediate);
}
