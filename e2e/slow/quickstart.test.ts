/** The quickstart as a newcomer runs it, on the embedded model and data: its numbers are the claims of the README, and it does not cut corners to get them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { QuickstartResult } from '../../src/main/quickstart/index.ts';
import { createWorkplace, type Workplace } from '../attune.ts';

let place: Workplace;
let result: QuickstartResult;
let output: string;

beforeAll(async () => {
  place = createWorkplace();
  const run = await place.attune(['quickstart', '--json', 'numbers.json']);
  expect(run.code, run.stderr).toBe(0);
  output = run.stdout;
  result = JSON.parse(readFileSync(join(place.folder, 'numbers.json'), 'utf8')) as QuickstartResult;
}, 600_000);

afterAll(() => place.remove());

describe('the quickstart', () => {
  it('makes the model better at instructions than the base ever was', () => {
    expect(result.perplexity.sft).toBeLessThan(result.perplexity.base / 2);
    expect(Number.isFinite(result.perplexity.dpo)).toBe(true);
  });

  it('ends with a DPO model that prefers the chosen answers, more than SFT did', () => {
    expect(result.preference.dpo.accuracy).toBeGreaterThanOrEqual(0.85);
    expect(result.preference.dpo.accuracy).toBeGreaterThan(result.preference.sft.accuracy);
    expect(result.preference.dpo.margin).toBeGreaterThan(0);
  });

  it('sees DPO win against SFT under the stated rule, every prompt counted', () => {
    const { win, tie, loss, prompts } = result.compare;
    expect(win).toBeGreaterThan(loss);
    expect(win + tie + loss).toBe(prompts);
    expect(output).toContain(`${win} wins, ${tie} ties, ${loss} losses`);
  });

  it('exports a winner that is a whole model folder and answers', async () => {
    expect(existsSync(join(result.exported, 'model.safetensors'))).toBe(true);
    const said = await place.attune(['sample', result.exported, '--prompt', 'What is a dog?', '--greedy', '--max-tokens', '40']);
    expect(said.code, said.stderr).toBe(0);
    expect(said.stdout.trim()).toMatch(/^[A-Z].*\.$/s);
  });

  it('leaves two finished runs with their curves in the library', async () => {
    const runs = await place.attune(['runs', '--json']);
    expect((JSON.parse(runs.stdout) as { status: string }[]).map(({ status }) => status)).toEqual(['finished', 'finished']);
  });
});
