/** Every kind of reward on answers scored by hand, and what the sandbox keeps code from. */
import { afterEach, describe, expect, it } from 'vitest';
import { Reward, rewardNames } from '../../shared/recipes/rewards.ts';
import { openRewards, type Rewards } from './rewards.ts';
import type { Answer } from './rules.ts';

const answer = (completion: string, expected: string | null = null, tokens = 5): Answer => ({ prompt: 'p', completion, tokens, expected });
const open: Rewards[] = [];
afterEach(async () => {
  for (const rewards of open.splice(0)) await rewards.close();
});

async function score(reward: Record<string, unknown>, ...answers: Answer[]): Promise<number[]> {
  const rewards = await openRewards([Reward.parse(reward)], () => Promise.reject(new Error('no reward model here')));
  open.push(rewards);
  return [...(await rewards.score(answers)).scores];
}

describe('a reward', () => {
  it('regex: 1 where it matches', async () => {
    expect(await score({ type: 'regex', pattern: '^[A-Z].*\\.$' }, answer('A tree.'), answer('a tree'))).toEqual([1, 0]);
    expect(await score({ type: 'regex', pattern: '^YES', flags: 'i' }, answer('yes!'))).toEqual([1]);
  });

  it('exact: spaces evened out, a part picked out by a pattern, nothing without an answer of the row', async () => {
    expect(await score({ type: 'exact' }, answer(' An  ox. ', 'An ox.'), answer('an ox.', 'An ox.'), answer('An ox.'))).toEqual([1, 0, 0]);
    expect(await score({ type: 'exact', ignoreCase: true }, answer('an ox.', 'An ox.'))).toEqual([1]);
    expect(await score({ type: 'exact', pattern: '#### (\\d+)' }, answer('so #### 12', 'steps #### 12'), answer('12', '#### 12'))).toEqual([1, 0]);
  });

  it('json: parsed and checked against a schema', async () => {
    const schema = { type: 'object', properties: { age: { type: 'integer', minimum: 0 } }, required: ['age'], additionalProperties: false };
    expect(await score({ type: 'json', schema }, answer('{"age": 3}'), answer('{"age": -3}'), answer('{"age": 3, "x": 1}'), answer('{age: 3}'))).toEqual([1, 0, 0, 0]);
    expect(await score({ type: 'json' }, answer('[1, 2]'), answer('[1, 2'))).toEqual([1, 0]);
  });

  it('length: 1 inside the window, falling evenly outside', async () => {
    expect(await score({ type: 'length', min: 4, max: 8 }, ...[2, 4, 8, 12, 16, 20].map((tokens) => answer('', null, tokens)))).toEqual([0.5, 1, 1, 0.5, 0, 0]);
    expect(await score({ type: 'length', unit: 'words', max: 2 }, answer('one two three'))).toEqual([0.5]);
    expect(await score({ type: 'length', unit: 'characters', max: 2 }, answer('한국'))).toEqual([1]);
  });

  it('language: the share of letters of a script', async () => {
    expect(await score({ type: 'language', script: 'Hangul' }, answer('나무 tree!'), answer('나무 12'), answer('12'))).toEqual([2 / 6, 1, 0]);
  });

  it('that could never be used is refused as data, with the field', () => {
    const problem = (reward: Record<string, unknown>) => Reward.safeParse(reward).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    expect(problem({ type: 'regex', pattern: '(' })).toEqual(['pattern: Invalid regular expression: /(/: Unterminated group']);
    expect(problem({ type: 'exact', pattern: '[' })).toEqual(['pattern: Invalid regular expression: /[/u: Unterminated character class']);
    expect(problem({ type: 'json', schema: { type: 'objekt' } })).toEqual(['schema: Unsupported type: objekt']);
    expect(problem({ type: 'length', min: 9, max: 4 })).toEqual(['min: is over max: nothing could be long enough']);
  });

  it('several add up by weight, under names of their own', async () => {
    const specs = [{ type: 'regex', pattern: 'a', weight: 2 }, { type: 'regex', pattern: 'b', weight: -1 }, { type: 'length', name: 'short', max: 5 }].map((each) => Reward.parse(each));
    expect(rewardNames(specs)).toEqual(['regex', 'regex_2', 'short']);
    const rewards = await openRewards(specs, () => Promise.reject(new Error('none')));
    open.push(rewards);
    const { scores, rewards: each } = await rewards.score([answer('ab')]);
    expect([...scores]).toEqual([2 - 1 + 1]);
    expect(Object.fromEntries(Object.entries(each).map(([name, [value]]) => [name, value]))).toEqual({ regex: 1, regex_2: 1, short: 1 });
  });
});

describe('a function of the user', () => {
  const run = (code: string, ...answers: Answer[]) => score({ type: 'function', code, timeLimit: 20_000 }, ...answers);

  it('sees the prompt, the answer and what was expected', async () => {
    expect(await run('({ prompt, completion, expected }) => prompt.length + completion.length + (expected === null ? 10 : 0)', answer('abc'), answer('a', 'x'))).toEqual([14, 2]);
    expect(await run('({ completion }) => completion.includes("a")', answer('a'), answer('b'))).toEqual([1, 0]);
  });

  it('is ended when it runs too long', async () => {
    await expect(score({ type: 'function', code: '() => { for (;;); }', timeLimit: 50 }, answer('x'))).rejects.toThrow(/reward function: it took longer than its time limit \(50 ms\)/);
    await expect(score({ type: 'regex', pattern: '^(a+)+$' }, answer('a'.repeat(60) + 'b'))).rejects.toThrow(/time limit/);
  });

  it('is ended when it takes too much memory', async () => {
    await expect(score({ type: 'function', code: '() => { const all = []; for (;;) all.push(new Array(1e5).fill(1.5)); }', timeLimit: 20_000 }, answer('x'))).rejects.toThrow(/reward function: .*memory/);
  });

  it('has no module, process, clock or chance, and makes no code from strings', async () => {
    for (const name of ['require', 'process', 'fetch', 'setTimeout', 'Date', 'WebAssembly', 'globalThis.constructor.constructor("return process")().pid']) {
      await expect(run(`() => ${name}.x`, answer('x')), name).rejects.toThrow(/reward function: /);
    }
    await expect(run('() => Math.random()', answer('x'))).rejects.toThrow(/not a function/);
    await expect(run('() => import("node:fs").then(() => 1)', answer('x'))).rejects.toThrow(/an object, not a finite number/);
    await expect(run('({ completion }) => completion.constructor.constructor("return 1")()', answer('x'))).rejects.toThrow(/Code generation from strings/);
  });

  it('must be a function and give a number', async () => {
    await expect(run('1 + 1', answer('x'))).rejects.toThrow(/it is not a function/);
    await expect(run('(', answer('x'))).rejects.toThrow(/reward function: Unexpected/);
    await expect(run('() => "good"', answer('x'))).rejects.toThrow(/it gave good, not a finite number, for the answer "x"/);
  });
});
