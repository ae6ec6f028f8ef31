/**
 * The oracle against numbers worked out by hand: the forward kernels, whose meaning central differences cannot check.
 * Its backward kernels are checked in conformance.test.ts.
 */
import { expect, test } from 'vitest';
import type { HostArray, Tensor } from './device.ts';
import { createReferenceDevice } from './reference.ts';

const device = createReferenceDevice();
const tensor = (...values: number[]): Tensor => hold(Float32Array.from(values));
const ints = (...values: number[]): Tensor => hold(Int32Array.from(values));
function hold(data: HostArray): Tensor {
  const x = device.alloc(data.length, data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : 'bf16');
  device.write(x, data);
  return x;
}
async function expectTensor(x: Tensor, ...values: number[]): Promise<void> {
  const got = await device.read(x);
  expect(got.length).toBe(values.length);
  values.forEach((value, i) => expect(got[i]).toBeCloseTo(value, 5));
}

test('dropout keeps what MurmurHash3’s finaliser says', async () => {
  // fmix32(0) = 0 and fmix32(1) = 0x514e28b7 (the finaliser's published values), so with seed 0 element 0 draws 0 and element 1
  // draws 0x514e28 · 2⁻²⁴ = 0.3176; it is kept, as x / (1 − p), exactly while p ≤ 0.3176.
  const [out, x] = [tensor(9, 9), tensor(3, 4)];
  device.dropout(out, x, 2, 0.25, 0);
  await expectTensor(out, 0, 4 / 0.75);
  device.dropout(out, x, 2, 0.5, 0);
  await expectTensor(out, 0, 0);
  device.dropout(out, x, 2, 0, 0);
  await expectTensor(out, 3, 4);
});

test('linear multiplies by the transpose, scales, keeps and adds', async () => {
  // x = (1 2 3), w = (1 0 1; 0 1 −1): x · wᵀ = (4, −1); 2 · that + 0.5 · (10, 20) + (0.5, 0.25)
  const out = tensor(10, 20);
  device.linear(out, tensor(1, 2, 3), tensor(1, 0, 1, 0, 1, -1), tensor(0.5, 0.25), 1, 3, 2, 2, 0.5);
  await expectTensor(out, 13.5, 8.25);
});

test('bf16 weights are the upper halves of f32', async () => {
  // 0x3fc0 is 1.5, 0xc020 is −2.5: 2 · 1.5 − 4 · 2.5 = −7
  const out = tensor(0);
  device.linear(out, tensor(2, 4), hold(Uint16Array.of(0x3fc0, 0xc020)), null, 1, 2, 1, 1, 0);
  await expectTensor(out, -7);
});

test('rmsNorm divides by the root of the mean square', async () => {
  // mean(1, 49) = 25; 25 + 11 = 36: rstd = 1/6
  const [out, rstd] = [tensor(0, 0), tensor(0)];
  device.rmsNorm(out, rstd, tensor(1, 7), tensor(2, 3), 1, 2, 11);
  await expectTensor(rstd, 1 / 6);
  await expectTensor(out, 2 / 6, 21 / 6);
});

test('rope turns pairs half a head apart, and leaves what lies behind the rotary dims', async () => {
  // R = 4 of D = 5, quarter turn (cos 0, sin 1) for pair 0 and none for pair 1 at position 1: (a, c) → (−c, a)
  const x = tensor(1, 2, 3, 4, 5);
  device.rope(x, tensor(1, 1, 0, 0, 0, 1, 1, 0), ints(1), 1, 1, 5, 4, 1);
  await expectTensor(x, -3, 2, 1, 4, 5);
  device.rope(x, tensor(1, 1, 0, 0, 0, 1, 1, 0), ints(1), 1, 1, 5, 4, -1);
  await expectTensor(x, 1, 2, 3, 4, 5);
});

test('attention weighs values by softmax of scores, causally, prefix first', async () => {
  // D = 1. Keys: prefix at row 0, own at rows 2 and 3, row 1 unseen. Scores of q = 1: ln 1 = 0, ln 2, ln 3 (scale ½, keys doubled).
  // Query 0 sees rows 0 and 2: (1·10 + 2·20)/3; query 1 sees rows 0, 2, 3: (1·10 + 2·20 + 3·30)/6.
  const [out, lse] = [tensor(0, 0), tensor(0, 0)];
  const k = tensor(0, 99, 2 * Math.log(2), 2 * Math.log(3));
  device.attention(out, lse, tensor(1, 1), k, tensor(10, 99, 20, 30), ints(0, 2, 0, 1, 2, 2), 1, 1, 1, 1, 0.5);
  await expectTensor(out, 50 / 3, 140 / 6);
  await expectTensor(lse, Math.log(3), Math.log(6));
});

test('attention lets H/K query heads in a row share a key/value head, and a decoded query sees all of its keys', async () => {
  // One query against a cache of two equal keys: the mean of the values of head ⌊h · K / H⌋
  const [out, lse] = [tensor(0, 0, 0, 0), tensor(0, 0, 0, 0)];
  device.attention(out, lse, tensor(1, 1, 1, 1), tensor(0, 0, 0, 0), tensor(1, 10, 3, 30), ints(0, 1, 0, 0, 0, 2), 1, 4, 2, 1, 1);
  await expectTensor(out, 2, 2, 20, 20);
});

test('gatedActivation is SiLU or tanh-GELU of the gate, times up', async () => {
  // silu(1) = 1/(1 + e⁻¹) = 0.7310586; gelu_tanh(1) = ½(1 + tanh(√(2/π) · 1.044715)) = 0.8411920
  const out = tensor(0, 0);
  device.gatedActivation(out, tensor(1, -20), tensor(2, 1), 2, 'silu');
  await expectTensor(out, 1.4621172, 0);
  device.gatedActivation(out, tensor(1, 0), tensor(2, 1), 2, 'gelu_pytorch_tanh');
  await expectTensor(out, 1.682384, 0);
});

test('logprob is the log-softmax of the target, with entropy in nats and the first best', async () => {
  // C = 1, x = 1: logits ln 1, ln 3, ln 3, ln 1 → p = ⅛, ⅜, ⅜, ⅛
  const [logprobs, lse, entropy, best] = [tensor(0), tensor(0), tensor(0), ints(9)];
  device.logprob(logprobs, lse, entropy, best, null, tensor(1), tensor(0, Math.log(3), Math.log(3), 0), ints(3), 1, 1, 4);
  await expectTensor(logprobs, Math.log(1 / 8));
  await expectTensor(lse, Math.log(8));
  await expectTensor(entropy, -(2 / 8) * Math.log(1 / 8) - (6 / 8) * Math.log(3 / 8));
  expect([...(await device.read(best))]).toEqual([1]);
});

test('adamw’s first step moves every weight by lr against the sign of its gradient, after the decay', async () => {
  // At step 1 m̂ = g and v̂ = g², so m̂ / √v̂ = ±1 (eps aside). w: 1 − 0.1 · 0.5 · 1 − 0.1 = 0.85; −2 + 0.1 + 0.1 = −1.8
  const [w, grad, m, v] = [tensor(1, -2), tensor(4, -6), tensor(0, 0), tensor(0, 0)];
  device.adamw(w, grad, m, v, 2, 0.1, 0.9, 0.999, 1e-8, 0.5, 1, 0.5);
  await expectTensor(w, 0.85, -1.8);
  await expectTensor(m, 0.2, -0.3); // 0.1 · (½ · 4), 0.1 · (½ · −6)
  await expectTensor(v, 0.004, 0.009); // 0.001 · 2², 0.001 · 3²
  await expectTensor(grad, 4, -6);
});

test('a tensor of the wrong storage is refused in a sentence', () => {
  expect(() => device.axpy(ints(1), tensor(1), 1, 1)).toThrow('reference device: a tensor is i32 where f32 is needed.');
  expect(() => device.copy(tensor(1), 0, hold(Uint16Array.of(1)), 0, 1)).toThrow('reference device: a tensor is bf16 where f32 is needed.');
});
