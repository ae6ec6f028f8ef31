/** Activations, gated and plain, and rotary positions: one thread an element. */
import type { Activation, Device, PlainActivation } from '../device.ts';
import type { Gpu } from './gpu.ts';
import { blocksOf, elementwise, type Kernel, TANH } from './kernel.ts';
import type { Memory } from './memory.ts';

/** act(x) and its slope as a vec2f. Exponents stay where f32 has numbers: beyond, nothing changes any more. */
const ACTIVATE: Record<Activation | PlainActivation, string> = {
  silu: `
fn activate(x: f32) -> vec2f {
  let sigmoid = 1.0 / (1.0 + exp(min(-x, 80.0)));
  return vec2f(x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid)));
}`,
  gelu_pytorch_tanh: `${TANH}
fn activate(x: f32) -> vec2f {
  let c = ${Math.sqrt(2 / Math.PI)};
  let t = tanh_of(c * x * (1.0 + 0.044715 * x * x));
  return vec2f(0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * c * (1.0 + 0.134145 * x * x));
}`,
  // erf by Abramowitz and Stegun 7.1.26, to 1.5e-7
  gelu: `
fn activate(x: f32) -> vec2f {
  let size = min(abs(x) * ${Math.SQRT1_2}, 9.0);
  let t = 1.0 / (1.0 + 0.3275911 * size);
  let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * exp(-size * size);
  let cdf = 0.5 * (1.0 + sign(x) * (1.0 - tail));
  return vec2f(x * cdf, cdf + x * exp(-size * size) * ${1 / Math.sqrt(2 * Math.PI)});
}`,
  sigmoid: `
fn activate(x: f32) -> vec2f {
  let sigmoid = 1.0 / (1.0 + exp(min(-x, 80.0)));
  return vec2f(sigmoid, sigmoid * (1.0 - sigmoid));
}`,
};

const gated = (activation: Activation): { forward: Kernel; backward: Kernel } => ({
  forward: elementwise({
    name: `gated ${activation}`, buffers: { out: 'f32', gate: 'f32', up: 'f32' }, numbers: {}, shared: ACTIVATE[activation],
    main: 'out[i] = activate(gate[i]).x * up[i];',
  }),
  backward: elementwise({
    name: `gated_backward ${activation}`, buffers: { dgate: 'f32', dup: 'f32', dout: 'f32', gate: 'f32', up: 'f32' }, numbers: {}, shared: ACTIVATE[activation],
    main: `
  let d = dout[i]; // read before it is written: dout may be dgate or dup
  let act = activate(gate[i]);
  let slope = d * act.y * up[i];
  dup[i] = d * act.x; // undoes, through up: out = act(gate) · up
  dgate[i] = slope; // … through gate`,
  }),
});
const plain = (activation: PlainActivation): { forward: Kernel; backward: Kernel } => ({
  forward: elementwise({ name: `activation ${activation}`, buffers: { out: 'f32', x: 'f32' }, numbers: {}, shared: ACTIVATE[activation], main: 'out[i] = activate(x[i]).x;' }),
  backward: elementwise({
    name: `activation_backward ${activation}`, buffers: { dx: 'f32', dout: 'f32', x: 'f32' }, numbers: {}, shared: ACTIVATE[activation],
    main: 'dx[i] = dout[i] * activate(x[i]).y; // undoes: out = act(x)',
  }),
});
const GATED = { silu: gated('silu'), gelu_pytorch_tanh: gated('gelu_pytorch_tanh') };
const PLAIN = { gelu: plain('gelu'), gelu_pytorch_tanh: plain('gelu_pytorch_tanh'), sigmoid: plain('sigmoid') };

const ROPE = elementwise({
  name: 'rope', buffers: { x: 'f32', cosSin: 'f32', positions: 'i32' }, numbers: { H: 'u32', D: 'u32', R: 'u32', direction: 'f32' },
  main: `
  let pairs = P.R / 2u;
  let row = i / pairs;
  let d = i % pairs;
  let at = u32(positions[row / P.H]) * P.R + d;
  let cosine = cosSin[at];
  let sine = P.direction * cosSin[at + pairs];
  let first = x[row * P.D + d];
  let second = x[row * P.D + d + pairs];
  x[row * P.D + d] = first * cosine - second * sine;
  x[row * P.D + d + pairs] = second * cosine + first * sine;`,
});

export function createActivationKernels(gpu: Gpu, memory: Memory): Pick<Device, 'gatedActivation' | 'gatedActivationBackward' | 'activation' | 'activationBackward' | 'rope'> {
  const part = (x: Parameters<Memory['part']>[0]) => memory.part(x, 'f32');
  return {
    gatedActivation: (out, gate, up, n, activation) => gpu.run(GATED[activation].forward, { out: part(out), gate: part(gate), up: part(up) }, { n }, blocksOf(n)),
    gatedActivationBackward: (dgate, dup, dout, gate, up, n, activation) =>
      gpu.run(GATED[activation].backward, { dgate: part(dgate), dup: part(dup), dout: part(dout), gate: part(gate), up: part(up) }, { n }, blocksOf(n)),
    activation: (out, x, n, activation) => gpu.run(PLAIN[activation].forward, { out: part(out), x: part(x) }, { n }, blocksOf(n)),
    activationBackward: (dx, dout, x, n, activation) => gpu.run(PLAIN[activation].backward, { dx: part(dx), dout: part(dout), x: part(x) }, { n }, blocksOf(n)),
    rope(x, cosSin, positions, N, H, D, R, direction) {
      const n = (N * H * R) / 2;
      gpu.run(ROPE, { x: part(x), cosSin: part(cosSin), positions: memory.part(positions, 'i32') }, { n, H, D, R, direction }, blocksOf(n));
    },
  };
}
