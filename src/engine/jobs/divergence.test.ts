import { expect, test } from 'vitest';
import { fileURLToPath } from 'node:url';
import { DivergenceJob } from '../../shared/job.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { divergence, rowKl } from './divergence.ts';

const folder = fileURLToPath(new URL('../../../fixtures/models/llama', import.meta.url));

test('KL of one token is Σ p log p/q', () => {
  // p = (3/4, 1/4), q = (1/2, 1/2), each shifted by a constant that softmax takes away: 3/4 log 3/2 + 1/4 log 1/2
  const p = Float32Array.of(Math.log(3) + 5, 5);
  expect(rowKl(p, Float32Array.of(-2, -2))).toBeCloseTo(0.75 * Math.log(1.5) + 0.25 * Math.log(0.5), 6);
  expect(rowKl(p, p)).toBe(0);
});

test('a model has not gone from itself; every answer is counted', async () => {
  const prompts = [{ raw: 'The dog' }, { raw: 'x' }];
  const job = DivergenceJob.parse({ type: 'divergence', model: { folder }, reference: { folder }, prompts, maxTokens: 5 });
  let counted = 0;
  expect(await divergence(job, createReferenceDevice(), (done) => (counted = done))).toMatchObject({ kl: 0, standardError: 0, answers: 2 });
  expect(counted).toBe(2);
});
