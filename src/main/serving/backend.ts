/**
 * The engine of a server: one process with the model, which answers many requests at once. Its events go to whoever asked. A process that
 * dies fails every open request, and says so to the server; it is not started again. No HTTP here.
 */
import type { ServeJob } from '../../shared/job.ts';
import type { CompleteRequest, EmbedRequest, ServedEvent, ServedModel } from '../../shared/serving.ts';
import { startEngine } from '../engine.ts';

/** The engine's own events, and the end that no engine tells. */
export type AnswerEvent = ServedEvent | { type: 'failed'; message: string };

export type Backend = {
  served: ServedModel;
  /** What really computes, in a line. */
  device: string;
  pid: number;
  /** The answer ends with `finished`, `refused` or `failed`; the function it gives cancels it. */
  ask(request: Omit<CompleteRequest, 'id'> | Omit<EmbedRequest, 'id'>, hear: (event: AnswerEvent) => void): () => void;
  /** Resolves when the process has ended: null after close, else how. */
  ended: Promise<string | null>;
  close(): Promise<void>;
};

/** Resolves when the model is loaded; throws one sentence when it cannot be. */
export async function openBackend(job: ServeJob): Promise<Backend> {
  const engine = startEngine(job);
  const hearing = new Map<number, (event: AnswerEvent) => void>();
  let device = '';
  let lastId = 0;
  let closed = false;
  const served = await loaded();

  async function loaded(): Promise<ServedModel> {
    for (;;) {
      const { value: event, done } = await engine.events.next();
      if (done) throw new Error('the engine process ended before the model was loaded');
      if (event.type === 'ready') device = event.device;
      if (event.type === 'result') return event.value as ServedModel;
    }
  }

  async function listen(): Promise<string | null> {
    let how = 'the engine process ended';
    try {
      for await (const event of engine.events) {
        if (event.type !== 'served') continue;
        for (const answer of event.events) {
          const hear = hearing.get(answer.id);
          if (answer.type === 'finished' || answer.type === 'refused') hearing.delete(answer.id);
          hear?.(answer);
        }
      }
    } catch (error) {
      how = (error as Error).message;
    }
    for (const hear of hearing.values()) hear({ type: 'failed', message: closed ? 'the server is closing' : how });
    hearing.clear();
    return closed ? null : how;
  }
  const ended = listen();

  return {
    served,
    device,
    pid: engine.pid,
    ended,
    ask(request, hear) {
      const id = ++lastId;
      hearing.set(id, hear);
      engine.send({ type: 'serve', request: { ...request, id } });
      return () => {
        if (hearing.has(id)) engine.send({ type: 'cancel', id });
      };
    },
    async close() {
      closed = true;
      engine.kill(); // it holds nothing but a model
      await ended;
    },
  };
}
