/**
 * Chat engines of the playground: one process a model, shared by every session and column that talks to it, loaded when first asked and
 * ended after minutes of quiet. One answers one prompt at a time; others wait their turn. It knows no session.
 */
import type { Template } from '../../shared/dataset.ts';
import type { EngineCommand, EngineEvent, ModelPath } from '../../shared/job.ts';
import { type Engine, startEngine } from '../engine.ts';

/** Loaded at once; the longest idle one makes room. */
const MOST_LOADED = 4;
const IDLE_MS = 5 * 60_000;

export type TokenEvent = Extract<EngineEvent, { type: 'token' }>;
export type EngineState = 'off' | 'loading' | 'ready' | 'busy' | 'failed';
export type ChatModel = { path: ModelPath; template: Template };

export type Ask = {
  model: ChatModel;
  /** Of this engine alone; one that runs with another number is started anew when it is idle. Left out: as it runs. */
  threads?: number;
  command: Extract<EngineCommand, { type: 'chat' | 'look' | 'read' }>;
  /** Stops the answer; what was written so far stays. */
  signal: AbortSignal;
  onToken?: (event: TokenEvent) => void;
};

/** What a command ends with. */
export type Ended = Extract<EngineEvent, { type: 'completion' | 'looked' | 'read' }>;

export type ChatEngines = {
  /** Throws one sentence when the model cannot answer: it cannot be loaded, its engine died, the prompt is too long. */
  /** null: it was stopped before it began. */
  ask(ask: Ask): Promise<Ended | null>;
  state(model: ChatModel): { state: EngineState; error: string | null };
  /** Process ids of those loaded. */
  pids(): number[];
  close(): Promise<void>;
};

type Waiting = Ask & { resolve: (ended: Ended | null) => void; reject: (error: Error) => void };
type Slot = {
  threads: number;
  engine: Engine | null;
  state: EngineState;
  error: string | null;
  waiting: Waiting[];
  working: boolean;
  lastUsed: number;
  timer: NodeJS.Timeout | null;
};

/** `onState` hears that some engine's state changed. */
export function createChatEngines(onState: () => void, { idleMs = IDLE_MS, mostLoaded = MOST_LOADED } = {}): ChatEngines {
  const slots = new Map<string, Slot>();
  let roomMade: (() => void)[] = [];
  let closed = false;

  const setState = (slot: Slot, state: EngineState, error: string | null = null): void => {
    slot.state = state;
    slot.error = error;
    onState();
  };

  async function unload(slot: Slot): Promise<void> {
    const { engine } = slot;
    if (slot.timer) clearTimeout(slot.timer);
    slot.timer = null;
    slot.engine = null;
    if (slot.state !== 'failed') setState(slot, 'off');
    engine?.kill(); // it holds nothing but a model
    await engine?.events.return();
    tellRoom();
  }

  function tellRoom(): void {
    const waiting = roomMade;
    roomMade = [];
    for (const wake of waiting) wake();
  }

  /** Waits until fewer than the most are loaded; ends the longest idle one. */
  async function makeRoom(own: Slot): Promise<void> {
    for (;;) {
      const loaded = [...slots.values()].filter((slot) => slot !== own && (slot.engine !== null || slot.state === 'loading'));
      if (loaded.length < mostLoaded || closed) return;
      const idle = loaded.filter((slot) => !slot.working).sort((a, b) => a.lastUsed - b.lastUsed)[0];
      if (idle) await unload(idle);
      else await new Promise<void>((resolve) => roomMade.push(resolve));
    }
  }

  async function load(slot: Slot, { model, threads = slot.threads }: Ask): Promise<Engine> {
    await makeRoom(slot);
    if (closed) throw new Error('Attune is closing');
    setState(slot, 'loading');
    slot.threads = threads;
    const engine = startEngine({ type: 'chat', device: 'native', threads, ...{ model: model.path, template: model.template, dtype: 'stored' } });
    slot.engine = engine;
    for (;;) {
      const { value: event, done } = await engine.events.next();
      if (done) throw new Error('the engine process ended before the model was loaded');
      if (event.type === 'result') return engine;
    }
  }

  async function answer(slot: Slot, ask: Waiting): Promise<Ended | null> {
    if (slot.engine && slot.threads !== (ask.threads ?? slot.threads)) await unload(slot);
    const kept = slot.engine;
    const engine = kept ?? (await load(slot, ask));
    if (ask.signal.aborted) return null;
    setState(slot, 'busy');
    const stop = (): void => engine.send({ type: 'stop' });
    ask.signal.addEventListener('abort', stop);
    let heard = false;
    try {
      engine.send(ask.command);
      for (;;) {
        const { value: event, done } = await engine.events.next();
        if (done) throw new Error('the engine process ended before the answer did');
        heard = true;
        if (event.type === 'token') ask.onToken?.(event);
        if (event.type === 'refused') throw new Refusal(event.message);
        if (event.type === 'completion' || event.type === 'looked' || event.type === 'read') return event;
      }
    } catch (error) {
      // one that died while it was idle is no reason to fail: it is loaded again
      if (!kept || heard || error instanceof Refusal || closed) throw error;
      slot.engine = null;
      return await answer(slot, ask);
    } finally {
      ask.signal.removeEventListener('abort', stop);
    }
  }

  async function work(slot: Slot): Promise<void> {
    slot.working = true;
    if (slot.timer) clearTimeout(slot.timer);
    for (let ask = slot.waiting.shift(); ask; ask = slot.waiting.shift()) {
      try {
        const ended = ask.signal.aborted ? null : await answer(slot, ask);
        if (slot.engine) setState(slot, 'ready');
        ask.resolve(ended);
      } catch (error) {
        if (error instanceof Refusal) setState(slot, 'ready');
        else {
          await slot.engine?.events.return();
          slot.engine = null;
          setState(slot, 'failed', (error as Error).message);
        }
        ask.reject(error as Error);
      }
    }
    slot.working = false;
    slot.lastUsed = performance.now();
    if (slot.engine) slot.timer = setTimeout(() => void unload(slot), idleMs).unref();
    tellRoom();
  }

  return {
    ask: (ask) =>
      new Promise((resolve, reject) => {
        const key = keyOf(ask.model);
        const slot = slots.get(key) ?? {
          threads: ask.threads ?? 0, engine: null, state: 'off', error: null, waiting: [], working: false, lastUsed: 0, timer: null,
        };
        slots.set(key, slot);
        const waiting: Waiting = { ...ask, resolve, reject };
        slot.waiting.push(waiting);
        // one that waits behind another, or for the model to load, need not wait for either
        ask.signal.addEventListener('abort', () => {
          const at = slot.waiting.indexOf(waiting);
          if (at >= 0) slot.waiting.splice(at, 1);
          if (at >= 0 || slot.state === 'loading' || slot.state === 'off') resolve(null);
        });
        if (!slot.working) void work(slot);
      }),
    state(model) {
      const { state, error } = slots.get(keyOf(model)) ?? { state: 'off' as const, error: null };
      return { state, error };
    },
    pids: () => [...slots.values()].flatMap(({ engine }) => (engine ? [engine.pid] : [])),
    async close() {
      closed = true;
      tellRoom();
      await Promise.all([...slots.values()].map(unload));
    },
  };
}

/** The model stays loaded. */
class Refusal extends Error {}

function keyOf({ path, template }: ChatModel): string {
  return JSON.stringify([path.folder, path.adapter ?? null, template]);
}
