/** Does this process train a run now? What leaving would stop; a run of the command line's is not ours to speak of. */
import { listRuns } from './db/runs.ts';
import type { Library } from './library.ts';
import { OWNER } from './process-identity.ts';

export function trainsHere({ db }: Library): boolean {
  return listRuns(db).some(({ status, owner }) => status === 'running' && owner === OWNER);
}
