/** The playground with real engines on the tiny fixture model: streaming, two windows, a reload, stop, resend, blind turns, engines that die. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Session } from '../../shared/api/playground.ts';
import { Sampling } from '../../shared/sampling.ts';
import { getSession } from '../db/sessions.ts';
import { historyOf } from './conversation.ts';
import { createPlayground } from './live.ts';
import { createWorkplace, follow, isOver, type Workplace } from './testing.ts';
import { vote } from './votes.ts';

let place: Workplace;
beforeAll(() => {
  place = createWorkplace();
  place.add('one');
  place.add('two');
  place.add('slow', 'embedded');
  place.add('slower', 'embedded');
});
afterAll(() => place.close());

const settings = (more: Partial<Sampling> = {}): Sampling => Sampling.parse({ maxTokens: 24, temperature: 1, seed: 7, ...more });
/** So hot that no answer ends by itself. */
const LONG: Partial<Sampling> = { maxTokens: 300, temperature: 5 };
const create = (models: string[], blind = false, sampling: Partial<Sampling> = {}): number => place.playground.create({ models, blind, sampling: settings(sampling) });
const answered = async (id: number): Promise<Session> => (await follow(place.playground, id, isOver)).session;

/** Whether there is a process of that number; a killed one is there until this process has heard of its end. */
function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('a conversation', () => {
  it('streams every column; text and tokens told on the way are what is there at the end', async () => {
    const id = create(['slow', 'slower'], false, LONG);
    place.playground.send(id, 'The dog');
    const { session, events } = await follow(place.playground, id, isOver);
    const [a, b] = session.turns[0].answers;
    expect(a).toMatchObject({ model: 'slow', state: 'done', error: null });
    expect(a.text).not.toBe('');
    expect(a.tokens.map(({ text }) => text).join('')).toBe(a.text);
    expect(a.tokens).toHaveLength(300);
    expect(b.text).toBe(a.text); // the same weights, seed and prompt
    expect(events[0].type).toBe('session');
    expect(events.some(({ type }) => type === 'tokens')).toBe(true);
    expect(session.title).toBe('The dog');
    // what a window that comes now gets
    expect((await follow(place.playground, id, () => true)).session.turns).toEqual(session.turns);
  });

  it('tells ten alternatives at every place, likeliest first, with the probability they were drawn with', async () => {
    const id = create(['one'], false, { topK: 3, temperature: 0.5 });
    place.playground.send(id, 'A small river');
    const [{ tokens }] = (await answered(id)).turns[0].answers;
    for (const { id: drawn, logprob, alternatives } of tokens) {
      expect(alternatives.length).toBe(10); // of three candidates the drawn one is always among the first ten
      const own = alternatives.map(({ probability }) => probability);
      expect(own).toEqual([...own].sort((x, y) => y - x));
      expect(alternatives.filter(({ sampledProbability }) => sampledProbability > 0)).toHaveLength(3);
      expect(alternatives.reduce((sum, { sampledProbability }) => sum + sampledProbability, 0)).toBeCloseTo(1, 3);
      expect(Math.exp(logprob)).toBeCloseTo(alternatives.find((other) => other.id === drawn)!.probability, 4);
    }
  });

  it('is the same in a second window and after a reload in the middle of an answer', async () => {
    const id = create(['slow', 'slower'], false, LONG);
    const windows = [follow(place.playground, id, isOver), follow(place.playground, id, isOver)];
    place.playground.send(id, 'x');
    // a window that goes after its first tokens, and comes back
    const before = await follow(place.playground, id, (_, events) => events.some(({ type }) => type === 'tokens'));
    expect(before.session.turns[0].answers[0].tokens.length).toBeGreaterThan(0);
    const after = await follow(place.playground, id, isOver);
    const shown = [...(await Promise.all(windows)), after].map(({ session }) => session.turns);
    expect(shown[0]).toEqual(shown[1]);
    expect(shown[2]).toEqual(shown[0]);
    expect(shown[0][0].answers[0].tokens).toHaveLength(300);
  });

  it('asks each prompt by itself when it is not to remember', async () => {
    const greedy = { temperature: 0, maxTokens: 8 };
    const id = create(['one'], false, greedy);
    place.playground.configure(id, { history: false });
    for (const prompt of ['The dog', 'A small river']) {
      place.playground.send(id, prompt);
      await answered(id);
    }
    const alone = create(['one'], false, greedy);
    place.playground.send(alone, 'A small river');
    const [{ text }] = (await answered(alone)).turns[0].answers;
    expect((await answered(id)).turns[1].answers[0].text).toBe(text);
    expect(historyOf(getSession(place.library.db, id)!, 1, 0)).toEqual([]);
    // a turn keeps how it was asked
    place.playground.configure(id, { history: true });
    expect(historyOf(getSession(place.library.db, id)!, 1, 0)).toEqual([]);
    expect(historyOf(getSession(place.library.db, id)!, 2, 0)).toHaveLength(4);
  });

  it('shows whole examples to the models before the conversation, and a branch keeps them and the template', async () => {
    const id = create(['one'], false, { temperature: 0, maxTokens: 8 });
    const examples = [{ prompt: 'The cat', answer: 'sleeps.' }, { prompt: 'half', answer: '' }];
    place.playground.configure(id, { system: 'Speak of animals.', examples, template: 'The {{animal}}' });
    place.playground.send(id, 'The dog');
    const { turns } = await answered(id);
    const before = [{ role: 'system', content: 'Speak of animals.' }, { role: 'user', content: 'The cat' }, { role: 'assistant', content: 'sleeps.' }];
    expect(historyOf(getSession(place.library.db, id)!, 0, 0)).toEqual(before);
    const bare = create(['one'], false, { temperature: 0, maxTokens: 8 });
    place.playground.send(bare, 'The dog');
    expect((await answered(bare)).turns[0].answers[0].tokens[0].logprob).not.toBe(turns[0].answers[0].tokens[0].logprob);
    const branch = place.playground.branch(id, { turn: 0, column: 0, index: 0, token: turns[0].answers[0].tokens[0].alternatives[1].id });
    await answered(branch);
    expect(getSession(place.library.db, branch)).toMatchObject({ examples, template: 'The {{animal}}', system: 'Speak of animals.' });
  });

  it('gives each column its own history, and begins anew from an earlier turn', async () => {
    const id = create(['one'], false, { temperature: 0, maxTokens: 8 });
    place.playground.send(id, 'The dog');
    const first = (await answered(id)).turns[0].answers[0].text;
    place.playground.send(id, 'And?');
    const second = (await answered(id)).turns[1].answers[0].text;
    const fresh = create(['one'], false, { temperature: 0, maxTokens: 8 });
    place.playground.send(fresh, 'And?');
    expect((await answered(fresh)).turns[0].answers[0].text).not.toBe(second);
    place.playground.resend(id, 0, 'And?');
    const again = await answered(id);
    expect(again.turns).toHaveLength(1);
    expect(again.turns[0]).toMatchObject({ prompt: 'And?', vote: null });
    expect(again.turns[0].answers[0].text).not.toBe(first);
  });

  it('stops with what was written, and refuses a second prompt meanwhile', async () => {
    const id = create(['slow', 'slower'], false, LONG);
    place.playground.send(id, 'A');
    expect(() => place.playground.send(id, 'B')).toThrow(/still answering/);
    await follow(place.playground, id, (session) => session.turns[0].answers.some(({ tokens }) => tokens.length > 0));
    place.playground.stop(id);
    const { answers } = (await answered(id)).turns[0];
    const stopped = answers.filter(({ state }) => state === 'stopped');
    expect(stopped.length).toBeGreaterThan(0);
    for (const answer of stopped) expect(answer.text).toBe(answer.tokens.map(({ text }) => text).join(''));
    expect(answers.some(({ text }) => text.length > 0)).toBe(true);
  });

  it('is kept: another process finds it as it was left', async () => {
    const id = create(['one']);
    place.playground.configure(id, { system: 'Be brief.', title: 'Mine' });
    place.playground.send(id, 'The');
    const session = await answered(id);
    const later = createPlayground(place.library, place.changes);
    const found = (await follow(later, id, () => true)).session;
    expect(found).toEqual({ ...session, engines: [{ model: 'one', state: 'off', error: null }] });
    expect(found).toMatchObject({ title: 'Mine', system: 'Be brief.' });
    expect(later.list()[0]).toMatchObject({ id, title: 'Mine', turns: 1, models: ['one'] });
    await later.close();
  });

  it('takes a prompt that is too long for the model as a failed answer, and goes on', async () => {
    const id = create(['one']);
    place.playground.send(id, 'long '.repeat(200));
    expect((await answered(id)).turns[0].answers[0]).toMatchObject({ state: 'failed', error: expect.stringMatching(/the model takes 128 in all: shorten the prompt/) as string });
    place.playground.resend(id, 0, 'short');
    expect((await answered(id)).turns[0].answers[0].state).toBe('done');
  });
});

describe('a model that is lost', () => {
  it('fails its own column with a sentence while the others answer', async () => {
    const folder = place.add('lost');
    const id = create(['lost', 'one']);
    rmSync(join(folder, 'model.safetensors'));
    place.playground.send(id, 'The dog');
    const session = await answered(id);
    expect(session.turns[0].answers[0]).toMatchObject({ state: 'failed', error: expect.stringMatching(/lost has no weights: expected model\.safetensors/) as string });
    expect(session.turns[0].answers[1].state).toBe('done');
    expect(session.engines[0].state).toBe('failed');
  });

  it('fails its column when its process is killed in the middle, and answers again afterwards', async () => {
    place.add('killed', 'embedded');
    const id = create(['killed'], false, LONG);
    const others = place.playground.engines.pids();
    place.playground.send(id, 'The dog');
    await follow(place.playground, id, (session) => session.turns[0].answers[0].tokens.length > 0);
    const pid = place.playground.engines.pids().find((candidate) => !others.includes(candidate))!;
    process.kill(pid, 'SIGKILL');
    expect((await answered(id)).turns[0].answers[0]).toMatchObject({ state: 'failed', error: 'the engine process was killed by SIGKILL' });
    place.playground.resend(id, 0, 'The dog');
    expect((await answered(id)).turns[0].answers[0].state).toBe('done');
  });

  it('comes back by itself when its process died while it was idle', async () => {
    place.add('fragile');
    const others = place.playground.engines.pids();
    const id = create(['fragile'], false, { maxTokens: 4 });
    place.playground.send(id, 'The dog');
    await answered(id);
    const engine = place.playground.engines.pids().find((pid) => !others.includes(pid))!;
    process.kill(engine, 'SIGKILL');
    while (runs(engine)) await new Promise((resolve) => setTimeout(resolve, 5));
    place.playground.send(id, 'more');
    expect((await answered(id)).turns[1].answers[0].state).toBe('done');
  });
});

describe('a blind session', () => {
  it('says no name anywhere before the vote, shuffles the columns, and tells all after it', async () => {
    const orders = new Set<string>();
    for (let i = 0; i < 8; i++) {
      const id = create(['one', 'two'], true, { maxTokens: 3 });
      place.playground.send(id, 'The dog');
      const { events, session } = await follow(place.playground, id, isOver);
      for (const event of events) {
        if (event.type === 'tokens') continue;
        for (const turn of event.session.turns) expect(turn.answers.map(({ model, tokensPerSecond, error }) => [model, tokensPerSecond, error])).toEqual([[null, null, null], [null, null, null]]);
        // what one engine does while the other does not would give it away
        expect(new Set(event.session.engines.map(({ state }) => state)).size).toBe(1);
        expect(JSON.stringify(event.session.turns)).not.toMatch(/"one"|"two"|slot/);
      }
      expect(session.turns[0].vote).toBeNull();
      vote(place, { id, turn: 0, best: 1, ratings: [3, 6] });
      const told = (await follow(place.playground, id, () => true)).session.turns[0];
      expect(told.vote).toEqual({ best: 1, ratings: [3, 6] });
      expect(told.answers.map(({ model }) => model).sort()).toEqual(['one', 'two']);
      orders.add(told.answers.map(({ model }) => model).join());
    }
    expect(orders.size).toBe(2); // all eight alike: 1 in 128
  });

  it('does not give a failed model away', async () => {
    const folder = place.add('secret');
    const id = create(['secret', 'one'], true);
    rmSync(folder, { recursive: true });
    place.playground.send(id, 'The dog');
    const { session } = await follow(place.playground, id, isOver);
    const failed = session.turns[0].answers.find(({ state }) => state === 'failed')!;
    expect(failed).toMatchObject({ model: null, error: 'this model could not answer; which one and why is shown when you have judged' });
    expect(session.engines.every(({ error, state }) => error === null && state !== 'failed')).toBe(true);
  });

  it('that is uncovered is not blind any more for the turns it hid', async () => {
    const id = create(['one', 'two'], true, { maxTokens: 2 });
    place.playground.send(id, 'The dog');
    await answered(id);
    place.playground.configure(id, { blind: false });
    place.playground.configure(id, { blind: true });
    expect((await follow(place.playground, id, () => true)).session.turns[0].answers[0].model).not.toBeNull();
  });
});
