/**
 * Who asks what, for people to see and for the queue's bound: open requests and the last that ended, with their speed. It decides nothing
 * but whether there is room.
 */
import type { ServedRequest } from '../../shared/api/serving.ts';
import type { AnswerEvent } from './backend.ts';

/** Completions open at once, running and waiting; beyond, the server says 429. */
export const MOST_OPEN = 512;
/** Ended requests that are still shown. */
const KEPT = 20;
/** Speed is that of the last so many ms. */
const WINDOW = 5000;

export type Tracked = {
  hear(event: AnswerEvent): void;
  /** The client is gone. */
  cancelled(): void;
};

export type Activity = {
  hasRoom(choices: number): boolean;
  track(endpoint: ServedRequest['endpoint'], choices: number): Tracked;
  /** Newest first. */
  list(): ServedRequest[];
  tokensPerSecond(): number;
};

/** `onChange` hears of everything that list() would tell otherwise. `now`: ms. */
export function createActivity(onChange: () => void, now: () => number = () => performance.now()): Activity {
  const requests: ServedRequest[] = [];
  /** Tokens by the second they came in. */
  const seconds = new Map<number, number>();
  let lastId = 0;
  let open = 0;

  function count(): void {
    const second = Math.floor(now() / 1000);
    seconds.set(second, (seconds.get(second) ?? 0) + 1);
    for (const old of seconds.keys()) if (old < second - WINDOW / 1000) seconds.delete(old);
  }

  function forget(): void {
    const ended = requests.filter(({ state }) => state !== 'waiting' && state !== 'running');
    for (const old of ended.slice(KEPT)) requests.splice(requests.indexOf(old), 1);
  }

  return {
    hasRoom: (choices) => open + choices <= MOST_OPEN,
    track(endpoint, choices) {
      open += choices;
      const shown: ServedRequest = {
        id: ++lastId, endpoint, state: 'waiting', choices, promptTokens: 0, completionTokens: 0, tokensPerSecond: null,
      };
      const askedAt = now();
      requests.unshift(shown);
      onChange();
      const end = (state: ServedRequest['state']): void => {
        if (shown.state !== 'waiting' && shown.state !== 'running') return;
        shown.state = state;
        open -= choices;
        forget();
      };
      return {
        hear(event) {
          if (event.type === 'prompt' || event.type === 'embedding') {
            shown.promptTokens += event.tokens;
            shown.state = 'running';
          }
          if (event.type === 'token') {
            shown.completionTokens++;
            shown.tokensPerSecond = (shown.completionTokens * 1000) / Math.max(1, now() - askedAt);
            count();
          }
          if (event.type === 'finished') end('done');
          if (event.type === 'refused' || event.type === 'failed') end('failed');
          onChange();
        },
        cancelled() {
          end('cancelled');
          onChange();
        },
      };
    },
    list: () => requests.map((shown) => ({ ...shown })),
    tokensPerSecond() {
      const since = now() / 1000 - WINDOW / 1000;
      let tokens = 0;
      for (const [second, number] of seconds) if (second >= since) tokens += number;
      return (tokens * 1000) / WINDOW;
    },
  };
}
