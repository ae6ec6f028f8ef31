/** Best of N on the tiny fixture model: the chosen answer is the best of those sampled, by log-prob, by a user's check and by vote, and the same seed gives the same. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { BestOfResult } from '../../shared/best-of.ts';
import { BestOfJob } from '../../shared/job.ts';
import { Sampling } from '../../shared/sampling.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { bestOf } from './best-of.ts';

const folder = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));

async function run(selection: BestOfJob['selection'], expected: string | null = null): Promise<BestOfResult> {
  const job = BestOfJob.parse({
    type: 'best-of', model: { folder }, template: 'chat', count: 6, selection,
    prompts: ['The dog', 'A small river'].map((raw) => ({ prompt: { raw }, expected })), sampling: Sampling.parse({ maxTokens: 8, temperature: 1, seed: 3 }),
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
});
