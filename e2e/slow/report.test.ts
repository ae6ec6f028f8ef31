/**
 * `attune report` as it stands in the README: SFT, rejection sampling, PPO and DPO from the same base and data, on the embedded model. Each of the three
 * wins against SFT and is found better by gold, a reward model that none of them learns from. How long it takes is printed, not asked for.
 */
import { expect, it } from 'vitest';
import type { MethodReport } from '../../src/shared/method-report.ts';
import { createWorkplace } from '../attune.ts';

it('trains and measures four methods, and what learns from preferences is better than SFT', async () => {
  const place = createWorkplace();
  const start = performance.now();
  const run = await place.attune(['report', '--json']);
  expect(run.code, run.stderr).toBe(0);
  console.log(`report: ${((performance.now() - start) / 60_000).toFixed(1)} min`);
  const report = JSON.parse(run.stdout) as MethodReport;
  place.remove();
  expect(report.status).toBe('done');
  const of = (method: string) => report.entries.find((entry) => entry.method === method)!;
  const sft = of('sft').measure!;
  for (const method of ['rejection', 'ppo', 'dpo']) {
    const { trained, measure, models } = of(method);
    expect(measure!.versus!.rate.low, method).toBeGreaterThan(0.5);
    expect(measure!.gold!.low, method).toBeGreaterThan(sft.gold!.value);
    expect(measure!.kl!.value, method).toBeGreaterThan(0);
    expect(trained, method).toMatchObject({ seconds: expect.any(Number) as number, peakMemoryBytes: expect.any(Number) as number, tokens: expect.any(Number) as number });
    expect(models, method).toBe({ rejection: 3, ppo: 5, dpo: 1 }[method]);
  }
}, 3_600_000);
