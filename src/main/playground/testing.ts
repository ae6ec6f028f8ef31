/** What the tests of the playground and of exports share: a library in a temporary folder, tiny models in it, and a session followed as a window does. Not part of the product. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PlaygroundEvent, Session } from '../../shared/api/playground.ts';
import { type Changes, createChanges } from '../changes.ts';
import { closeLibrary, type Library, openLibrary } from '../library.ts';
import { addModel } from '../models/index.ts';
import { RESOURCES } from '../paths.ts';
import { createPlayground, type Playground } from './live.ts';

const LLAMA = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));

const EMBEDDED = join(RESOURCES, 'models', 'attune-base');

export type Workplace = { folder: string; library: Library; changes: Changes; playground: Playground; /** A copy of the tiny Llama (it answers in milliseconds) or of the embedded model (slow enough to be watched) under a name; its folder. */ add(name: string, model?: 'tiny' | 'embedded'): string; close(): Promise<void> };

export function createWorkplace(): Workplace {
  const folder = mkdtempSync(join(tmpdir(), 'attune-playground-'));
  const library = openLibrary(join(folder, 'library'));
  const changes = createChanges(library);
  const playground = createPlayground(library, changes);
  return {
    folder, library, changes, playground,
    add(name, model = 'tiny') {
      const to = join(folder, name);
      cpSync(model === 'tiny' ? LLAMA : EMBEDDED, to, { recursive: true, filter: (path) => !basename(path).startsWith('expected') });
      addModel(library, to, name);
      return to;
    },
    async close() {
      await playground.close();
      changes.close();
      closeLibrary(library);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What a window would show after each event. */
export function apply(session: Session | null, event: PlaygroundEvent): Session {
  if (event.type === 'session') return structuredClone(event.session);
  for (const { column, token, text } of event.tokens) {
    const answer = session!.turns[event.turn].answers[column];
    answer.tokens.push(token);
    answer.text += text;
  }
  return session!;
}

/** Follows a session until `until` holds. */
export async function follow(playground: Playground, id: number, until: (session: Session, events: PlaygroundEvent[]) => boolean): Promise<{ session: Session; events: PlaygroundEvent[] }> {
  const controller = new AbortController();
  const events: PlaygroundEvent[] = [];
  let session: Session | null = null;
  for await (const event of playground.watch(id, controller.signal)) {
    events.push(structuredClone(event));
    session = apply(session, event);
    if (until(session, events)) break;
  }
  controller.abort();
  return { session: session!, events };
}

export const isOver = (session: Session): boolean =>
  session.turns.length > 0 && session.turns.at(-1)!.answers.every(({ state }) => state === 'done' || state === 'stopped' || state === 'failed');
