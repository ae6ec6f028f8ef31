/**
 * The load balancing loss of a mixture's routers (Fedus et al. 2021, equations 4–6; transformers' load_balancing_loss_func): E · Σₑ fₑ · Pₑ, fₑ the
 * experts chosen a token and Pₑ the mean prob, both over the R = layers · tokens rows of a batch. fₑ has no gradient; dPₑ of every row is E · fₑ / R.
 * K when all experts carry the same. A batch counts each token it computes once, a prompt shared by two answers too.
 */
import type { Device } from '../device/device.ts';
import type { Balance } from '../ops/experts.ts';
import type { Pool } from '../ops/pool.ts';

/** Room for the sums of one forward; release gives it back. */
export function createBalance(device: Device, pool: Pool, E: number): Balance {
  const zeros = () => {
    const sums = pool.takeFloats(E);
    device.fill(sums, 0, E);
    return sums;
  };
  return { load: zeros(), mass: zeros(), dprobs: zeros(), counted: new Set() };
}

export function releaseBalance(pool: Pool, { load, mass, dprobs }: Balance): void {
  for (const sums of [load, mass, dprobs]) pool.give(sums);
}

/** After the forward: the loss of a batch of N tokens. Backward then adds `weight` times its gradient. */
export async function routerLoss(device: Device, { load, mass, dprobs, counted }: Balance, N: number, weight: number): Promise<number> {
  const [slots, probs] = (await Promise.all([device.read(load), device.read(mass)])) as [Float32Array, Float32Array];
  const E = slots.length, R = counted.size * N;
  device.write(dprobs, slots.map((count) => (weight * E * count) / R / R));
  return E * slots.reduce((sum, count, e) => sum + (count / R) * (probs[e]! / R), 0);
}
