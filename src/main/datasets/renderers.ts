/**
 * Engines kept at hand to show rows as the trainer sees them: one a model, with its tokenizer loaded and nothing else. The first row of a
 * model waits for its engine to start, the next ones do not. An engine not asked for a while ends.
 */
import type { Example, Template } from '../../shared/dataset.ts';
import type { ModelPath, ShownExample } from '../../shared/job.ts';
import { type Engine, startEngine } from '../engine.ts';
import { UserError } from '../user-error.ts';

/** ms without a question after which an engine ends. */
const IDLE = 5 * 60_000;
/** Engines at once; the one not asked for longest ends. */
const ENGINES = 3;

export type RenderSettings = { example: Example; template: Template; maxLength: number; completionOnlyLoss: boolean };
export type Renderers = {
  render(model: ModelPath, settings: RenderSettings): Promise<ShownExample[]>;
  close(): Promise<void>;
};

type Renderer = {
  engine: Engine;
  asked: Map<number, { resolve(shown: ShownExample[]): void; reject(error: Error): void }>;
  idle: NodeJS.Timeout | null;
  ended: Promise<void>;
};

export function createRenderers(): Renderers {
  const renderers = new Map<string, Renderer>(); // least recently used first
  let lastId = 0;

  function open(key: string, model: ModelPath): Renderer {
    const engine = startEngine({ type: 'render', model });
    const renderer: Renderer = { engine, asked: new Map(), idle: null, ended: Promise.resolve() };
    renderer.ended = listen(renderer).finally(() => {
      if (renderers.get(key) === renderer) renderers.delete(key);
      if (renderer.idle) clearTimeout(renderer.idle);
    });
    return renderer;
  }

  async function listen({ engine, asked }: Renderer): Promise<void> {
    let reason = new Error('the engine that renders rows ended');
    try {
      for await (const event of engine.events) {
        if (event.type !== 'rendered') continue;
        const question = asked.get(event.id);
        asked.delete(event.id);
        if (event.error === null) question?.resolve(event.shown);
        else question?.reject(new UserError(event.error));
      }
    } catch (error) {
      reason = new UserError((error as Error).message); // a model folder that cannot be read, mostly
    }
    for (const { reject } of asked.values()) reject(reason);
  }

  function close(key: string, renderer: Renderer): Promise<void> {
    renderers.delete(key);
    renderer.engine.kill();
    return renderer.ended;
  }

  return {
    render(model, { example, ...settings }) {
      const key = JSON.stringify(model);
      const renderer = renderers.get(key) ?? open(key, model);
      renderers.delete(key);
      renderers.set(key, renderer);
      const [[oldestKey, oldest]] = renderers;
      if (renderers.size > ENGINES) void close(oldestKey, oldest);
      if (renderer.idle) clearTimeout(renderer.idle);
      renderer.idle = setTimeout(() => void close(key, renderer), IDLE);
      renderer.idle.unref();
      const id = ++lastId;
      return new Promise((resolve, reject) => {
        renderer.asked.set(id, { resolve, reject });
        renderer.engine.send({ type: 'render', id, example, ...settings });
      });
    },
    close: async () => void (await Promise.all([...renderers].map(([key, renderer]) => close(key, renderer)))),
  };
}
