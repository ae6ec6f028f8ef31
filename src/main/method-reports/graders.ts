/** What gives an answer a number: the stated rule of playground/judge.ts, or a reward model. Which one decides a report is its settings' (`judge`). */
import type { Message } from '../../shared/dataset.ts';
import type { Tool } from '../../shared/tools.ts';
import { withJsonl } from '../datasets/examples-file.ts';
import { startEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { readFacts } from '../models/facts.ts';
import type { Model } from '../models/index.ts';
import type { Answer } from '../playground/index.ts';
import { judgeAnswer, MOST_POINTS, RULE_TEXT } from '../playground/judge.ts';
import type { Machine } from '../runs/index.ts';
import { UserError } from '../user-error.ts';

export type Grader = {
  /** How scores come about, in a sentence. */
  text: string;
  /** The best score; null where there is none. */
  most: number | null;
  grade(prompts: { messages: Message[]; tools?: Tool[] }[], answers: Answer[], signal: AbortSignal): Promise<number[]>;
};

export const RULE: Grader = {
  text: RULE_TEXT,
  most: MOST_POINTS,
  grade: (_, answers) => Promise.resolve(answers.map(({ text, finishReason }) => judgeAnswer(text, finishReason === 'eos').points)),
};

/** As a sentence, also before the model is there. */
export const modelText = (name: string): string => `what the reward model ${name} gives; only differences mean anything`;

export function modelGrader(model: Model, { device = 'native', threads = 0 }: Machine = {}): Grader {
  return {
    text: modelText(model.name),
    most: null,
    grade: (prompts, answers, signal) => {
      const rows = answers.map(({ text }, i) => JSON.stringify({ kind: 'conversation', messages: [...prompts[i].messages, { role: 'assistant', content: text }], tools: prompts[i].tools }));
      return withJsonl(rows, async (examples) => {
        signal.throwIfAborted();
        const engine = startEngine({ type: 'score', device, threads, model: model.path, template: model.template, examples, maxLength: 131_072 });
        signal.addEventListener('abort', engine.kill);
        const scores = new Array<number>(answers.length).fill(NaN);
        try {
          for await (const event of engine.events) if (event.type === 'scored') scores[event.index] = event.scores[0];
        } finally {
          signal.removeEventListener('abort', engine.kill);
        }
        const missing = scores.findIndex(Number.isNaN);
        if (missing >= 0) throw new UserError(`${model.name}: it cannot score answer ${missing + 1}, which is longer than it reads: lower the tokens an answer may have`);
        return scores;
      });
    },
  };
}

/** Throws unless answers can be scored by it. */
export async function checkRewardModel(library: Library, { name, path }: Model): Promise<void> {
  const folder = path.adapter ?? path.folder;
  const labels = (await readFacts(library, [folder])).get(folder)?.labels;
  if (labels?.length !== 1) throw new UserError(`${name}: not a reward model, so it cannot judge: name one that method: reward has trained, or rule or gold`);
}
