/** Best of N on the tiny fixture model: the chosen answer is the best of those sampled, by log-prob, by a user's check and by vote, and the same seed gives the same. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { BestOfResult } from '../../shared/best-of.ts';
import { Constraint, countValidity } from '../../shared/constraint.ts';
import { BestOfJob } from '../../shared/job.ts';
import { Sampling } from '../../shared/sampling.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { bestOf } from './best-of.ts';

const folder = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));

async function run(selection: BestOfJob['selection'], expected: string | null = null, constraint?: Constraint): Promise<BestOfResult> {
  const job = BestOfJob.parse({
    type: 'best-of', model: { folder }, template: 'chat', count: 6, selection, constraint,
    prompts: ['The dog', 'A small river'].map((raw) => ({ prompt: { raw }, expected })), sampling: Sampling.parse({ maxTokens: constraint ? 24 : 8, temperature: 1, seed: 3 }),
  });
  const counts: number[] = [];
  const result = await bestOf(job, createReferenceDevice(), (done) => counts.push(done));
  expect(counts.at(-1)).toBe(12);
  return result;
}

describe('bestOf', () => {
  it('chooses the highest mean log-prob, and the curve ends at its mean over the prompts', async () => {
    const { prompts, curve } = await run({ by: 'logprob' });
    const best = prompts.map(({ answers, chosen }) => {
      const scores = answers.map(({ meanLogprob }) => meanLogprob);
      expect(new Set(scores).size).toBeGreaterThan(1);
      expect(chosen).toBe(scores.indexOf(Math.max(...scores)));
      return Math.max(...scores);
    });
    expect(curve.map(({ n }) => n)).toEqual([1, 2, 4, 6]);
    expect(curve.at(-1)!.score).toBeCloseTo((best[0] + best[1]) / 2, 12);
    const scores = curve.map(({ score }) => score);
    expect(scores).toEqual([...scores].sort((a, b) => a - b));
    expect(await run({ by: 'logprob' })).toEqual({ prompts, curve });
  });

  it("chooses by a user's check, which sees prompt and answer", async () => {
    const code = '({ prompt, completion }) => (prompt.startsWith("The") ? -1 : 1) * completion.length';
    const { prompts } = await run({ by: 'rewards', rewards: [{ type: 'function', code, weight: 2, timeLimit: 1000 }] });
    const lengths = prompts.map(({ answers }) => answers.map(({ text }) => text.length));
    expect(prompts[0].answers[prompts[0].chosen!].text.length).toBe(Math.min(...lengths[0]));
    expect(prompts[1].answers[prompts[1].chosen!].text.length).toBe(Math.max(...lengths[1]));
    expect(prompts[1].answers[0].score).toBe(2 * lengths[1][0]);
    expect(prompts[1].answers[0].rewards).toEqual({ function: lengths[1][0] });
  });

  it('chooses what most answers say, and tells how often that is right', async () => {
    const { prompts } = await run({ by: 'majority', pattern: '^(.)', weight: 'one', rewards: [] }, 'x');
    for (const { answers, chosen } of prompts) {
      const votes = new Map<string, number>();
      for (const { vote } of answers) if (vote !== null) votes.set(vote, (votes.get(vote) ?? 0) + 1);
      expect(votes.get(answers[chosen!].vote!)).toBe(Math.max(...votes.values()));
      expect(answers.every(({ vote, correct }) => correct === (vote === 'x'))).toBe(true);
    }
  });

  it('keeps every one of the N to a constraint, and votes among what they hold', async () => {
    const constraint = Constraint.parse({ type: 'jsonSchema', schema: { type: 'object', properties: { a: { enum: [1, 2, 3] } }, required: ['a'], additionalProperties: false } });
    const { prompts } = await run({ by: 'majority', pattern: '\\d', weight: 'one', rewards: [] }, '2', constraint);
    for (const { answers, chosen } of prompts) {
      expect(countValidity(answers)).toEqual({ valid: 6, repaired: 0, broken: 0 });
      expect(chosen).not.toBeNull();
      for (const { text, vote } of answers) expect(String((JSON.parse(text) as { a: number }).a)).toBe(vote);
    }
    await expect(run({ by: 'logprob' }, null, { type: 'regex', pattern: '\\bx' })).rejects.toThrow(/look-behind/);
  });

  it('chooses none that is not what was asked for, where it samples freely and mends', async () => {
    const constraint = Constraint.parse({ type: 'jsonSchema', schema: { type: 'object', required: ['name'] }, enforce: 'repair' });
    const { prompts } = await run({ by: 'logprob' }, null, constraint);
    expect(prompts.map(({ chosen }) => chosen)).toEqual([null, null]); // the fixture model writes no objects
    expect(countValidity(prompts.flatMap(({ answers }) => answers))).toEqual({ valid: 0, repaired: 0, broken: 12 });
    const strings = await run({ by: 'logprob' }, null, Constraint.parse({ type: 'jsonSchema', schema: { type: 'string' }, enforce: 'repair' }));
    for (const { answers, chosen } of strings.prompts) {
      for (const { validity, score } of answers) expect(score === null).toBe(!validity!.valid);
      if (chosen !== null) expect(typeof JSON.parse(answers[chosen].text)).toBe('string');
    }
    expect(countValidity(strings.prompts.flatMap(({ answers }) => answers))!.repaired).toBeGreaterThan(0);
  });
});
