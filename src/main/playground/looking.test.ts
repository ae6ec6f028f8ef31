/** Looking at answers with real engines on the tiny fixture model: the way through the filters, every token read by one or two models, and answers that go on from another token. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Session } from '../../shared/api/playground.ts';
import { Sampling } from '../../shared/sampling.ts';
import { lookAt, readAnswer } from './looking.ts';
import { createWorkplace, follow, isOver, type Workplace } from './testing.ts';

let work: Workplace;
let id: number;
let session: Session;
beforeAll(async () => {
  work = createWorkplace();
  work.add('one');
  work.add('base', 'embedded');
  const sampling = Sampling.parse({ maxTokens: 24, temperature: 1.3, topK: 20, topP: 0.9, presencePenalty: 0.5, seed: 7 });
  id = work.playground.create({ models: ['one', 'base'], blind: false, sampling });
  work.playground.send(id, 'The dog');
  await follow(work.playground, id, isOver);
  work.playground.send(id, 'A small river');
  session = (await follow(work.playground, id, isOver)).session;
});
afterAll(() => work.close());

describe('a place', () => {
  it('ends its way through the filters with the probabilities its token was drawn with', async () => {
    const { tokens } = session.turns[1].answers[0];
    const trace = await lookAt(work, { id, turn: 1, column: 0, index: 5 });
    expect(trace.stages.map(({ stage }) => stage)).toEqual(['model', 'penalties', 'temperature', 'topK', 'topP']);
    expect(trace.stages[0].entropy).toBeCloseTo(tokens[5].entropy!, 3);
    expect(trace.stages[3].kept).toBe(20);
    for (const other of tokens[5].alternatives) {
      const traced = trace.tokens.find((token) => token.id === other.id);
      expect(traced!.probabilities[0]).toBeCloseTo(other.probability, 4);
      expect(traced!.probabilities.at(-1)).toBeCloseTo(other.sampledProbability, 4);
    }
  });
});

describe('an answer, read', () => {
  it('has the log-probs it was written with, and a perplexity of the prompt and of itself', async () => {
    const { tokens } = session.turns[1].answers[0];
    const [read] = await readAnswer(work, { id, turn: 1, column: 0 });
    const answer = read.tokens.slice(read.promptTokens);
    expect(answer.map((token) => token.id)).toEqual(tokens.map((token) => token.id));
    answer.forEach(({ logprob, entropy }, i) => {
      expect(logprob).toBeCloseTo(tokens[i].logprob, 3);
      expect(entropy).toBeCloseTo(tokens[i].entropy!, 3);
    });
    expect(read.tokens[0].logprob).toBeNull();
    expect(read.answerPerplexity).toBeCloseTo(Math.exp(-tokens.reduce((sum, { logprob }) => sum + logprob, 0) / tokens.length), 1);
    expect(read.tokens.map(({ text }) => text).join('')).toContain('A small river');
  });

  it('is read by another model beside it, in words of its own where the tokens are others', async () => {
    const [own, other] = await readAnswer(work, { id, turn: 0, column: 1, against: 'one' });
    expect([own.model, other.model]).toEqual(['base', 'one']);
    expect(other.tokens.slice(other.promptTokens).map(({ text }) => text).join('')).toBe(session.turns[0].answers[1].text);
    expect(other.answerPerplexity).toBeGreaterThan(1);
  });
});

describe('what if', () => {
  it('goes on from the same token exactly as it was, and from another one otherwise, the original beside it', async () => {
    const original = session.turns[1].answers[0];
    const again = await branch(original.tokens[3].id);
    expect(again.turns[1].answers.map(({ text }) => text)).toEqual([original.text, original.text]);
    expect(again.turns[1].answers[1].tokens.map((token) => token.id)).toEqual(original.tokens.map((token) => token.id));
    expect(again.turns[0].answers.map(({ text }) => text)).toEqual([session.turns[0].answers[0].text, session.turns[0].answers[0].text]);

    const other = original.tokens[3].alternatives.find((token) => token.id !== original.tokens[3].id && token.text.trim() !== '')!;
    const { answers } = (await branch(other.id)).turns[1];
    expect(answers[0].text).toBe(original.text);
    expect(answers[1].tokens[3].id).toBe(other.id);
    expect(answers[1].tokens[3].logprob).toBeCloseTo(Math.log(other.probability), 3);
    expect(answers[1].tokens.map(({ text }) => text).join('')).toBe(answers[1].text);
    expect(work.playground.list().length).toBe(3);
  });

  it('refuses a token that was not told', () => {
    expect(() => work.playground.branch(id, { turn: 1, column: 0, index: 3, token: 1_000_000 })).toThrow('not among those that were told');
  });

  async function branch(token: number): Promise<Session> {
    return (await follow(work.playground, work.playground.branch(id, { turn: 1, column: 0, index: 3, token }), isOver)).session;
  }
});
