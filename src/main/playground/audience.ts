/**
 * Everybody who watches one session: tokens gathered and told together about thirty times a second, the whole session when anything else
 * changed. One who joins, or who fell behind, gets the session as it is now; nobody hears a token twice.
 */
import type { GeneratedToken, PlaygroundEvent, Session } from '../../shared/api/playground.ts';

/** Events are told at most this often, ms. */
const PACE = 33;
/** A watcher with more events unread than this gets the session anew instead. */
const MOST_UNREAD = 100;

export type Audience = {
  /** Something but a token changed. */
  changed(): void;
  token(turn: number, column: number, token: GeneratedToken): void;
  /** Ends when `signal` aborts or the session is gone. */
  watch(signal?: AbortSignal): AsyncGenerator<PlaygroundEvent, void, void>;
  size(): number;
  close(): void;
};

type Watcher = { unread: PlaygroundEvent[]; behind: boolean; wake: () => void };

export function createAudience(snapshot: () => Session): Audience {
  const watchers = new Set<Watcher>();
  let gathered: Extract<PlaygroundEvent, { type: 'tokens' }> | null = null;
  let hasChanged = false;
  let closed = false;
  let timer: NodeJS.Timeout | null = null;

  function flush(): void {
    if (timer) clearTimeout(timer);
    timer = null;
    // a snapshot holds the tokens gathered so far
    const event: PlaygroundEvent | null = hasChanged ? (watchers.size > 0 ? { type: 'session', session: snapshot() } : null) : gathered;
    hasChanged = false;
    gathered = null;
    if (!event) return;
    for (const watcher of watchers) {
      if (watcher.unread.length >= MOST_UNREAD) watcher.behind = true;
      if (!watcher.behind) watcher.unread.push(event);
      watcher.wake();
    }
  }
  const arm = (): void => {
    timer ??= setTimeout(flush, PACE);
  };

  return {
    changed() {
      hasChanged = true;
      arm();
    },
    token(turn, column, token) {
      if (gathered?.turn !== turn) {
        if (gathered) flush();
        gathered = { type: 'tokens', turn, tokens: [] };
      }
      gathered.tokens.push({ column, token, text: token.text });
      arm();
    },
    async *watch(signal) {
      const watcher: Watcher = { unread: [], behind: true, wake: () => {} };
      const abort = (): void => watcher.wake();
      signal?.addEventListener('abort', abort);
      watchers.add(watcher);
      try {
        while (!closed && !signal?.aborted) {
          if (watcher.behind) {
            flush(); // what was gathered goes to the others; the snapshot has it
            watcher.behind = false;
            watcher.unread = [];
            yield { type: 'session', session: snapshot() };
          } else if (watcher.unread.length > 0) yield watcher.unread.shift()!;
          else await new Promise<void>((resolve) => (watcher.wake = resolve));
        }
      } finally {
        watchers.delete(watcher);
        signal?.removeEventListener('abort', abort);
      }
    },
    size: () => watchers.size,
    close() {
      if (timer) clearTimeout(timer);
      closed = true;
      for (const watcher of watchers) watcher.wake();
    },
  };
}
