/** RMSNorm and LayerNorm, a workgroup a row, and their backward: rows for x, columns for weight and bias. */
import type { Device } from '../device.ts';
import type { Gpu } from './gpu.ts';
import type { Kernel } from './kernel.ts';
import type { Memory } from './memory.ts';
import { addColumns, columnSum } from './rows.ts';

/** A kernel for short rows and one for long ones. */
type Pair = { short: Kernel; long: Kernel };
const LONG = 512;

function rowwise(name: string, buffers: Kernel['buffers'], numbers: Kernel['numbers'], main: (each: string) => string): Pair {
  const make = (threads: number): Kernel => ({
    name: `${name} ${threads}`, buffers, numbers: { C: 'u32', ...numbers }, threads, reduces: true,
    main: `let row = block * P.C;\n${main(`for (var c = lane; c < P.C; c += ${threads}u)`)}`,
  });
  return { short: make(64), long: make(256) };
}
const by = ({ short, long }: Pair, C: number): Kernel => (C > LONG ? long : short);

const RMS_NORM = rowwise('rms_norm', { out: 'f32', rstd: 'f32', x: 'f32', weight: 'f32' }, { eps: 'f32' }, (each) => `
  var squares = 0.0;
  ${each} { squares += x[row + c] * x[row + c]; }
  let scale = 1.0 / sqrt(sum_all(squares, lane) / f32(P.C) + P.eps);
  if (lane == 0u) { rstd[block] = scale; }
  ${each} { out[row + c] = x[row + c] * scale * weight[c]; }`);
const RMS_NORM_BACKWARD = rowwise('rms_norm_backward', { dx: 'f32', dout: 'f32', x: 'f32', weight: 'f32', rstd: 'f32' }, {}, (each) => `
  let scale = rstd[block];
  var turned = 0.0;
  ${each} { turned += dout[row + c] * weight[c] * x[row + c] * scale; } // undoes, through rstd: out = x · rstd · weight
  let mean = sum_all(turned, lane) / f32(P.C);
  ${each} { dx[row + c] += scale * (dout[row + c] * weight[c] - mean * x[row + c] * scale); } // … and through x`);
const RMS_WEIGHT = columnSum('dout · x · rstd', { dout: 'f32', x: 'f32', rstd: 'f32' }, 'dout[n * P.C + c] * x[n * P.C + c] * rstd[n]');

const LAYER_NORM = rowwise('layer_norm', { out: 'f32', mean: 'f32', rstd: 'f32', x: 'f32', weight: 'f32', bias: 'f32' }, { eps: 'f32' }, (each) => `
  var sum = 0.0;
  ${each} { sum += x[row + c]; }
  let centre = sum_all(sum, lane) / f32(P.C);
  var squares = 0.0;
  ${each} { let away = x[row + c] - centre; squares += away * away; }
  let scale = 1.0 / sqrt(sum_all(squares, lane) / f32(P.C) + P.eps);
  if (lane == 0u) { mean[block] = centre; rstd[block] = scale; }
  ${each} { out[row + c] = (x[row + c] - centre) * scale * weight[c] + bias[c]; }`);
const LAYER_NORM_BACKWARD = rowwise('layer_norm_backward', { dx: 'f32', dout: 'f32', x: 'f32', weight: 'f32', mean: 'f32', rstd: 'f32' }, {}, (each) => `
  let centre = mean[block];
  let scale = rstd[block];
  var plain = 0.0;
  var turned = 0.0;
  ${each} {
    let g = dout[row + c] * weight[c];
    plain += g; // undoes, through mean: out = (x − mean) · rstd · weight + bias
    turned += g * (x[row + c] - centre) * scale; // … through rstd
  }
  let level = sum_all(plain, lane) / f32(P.C);
  let slope = sum_all(turned, lane) / f32(P.C);
  ${each} { dx[row + c] += scale * (dout[row + c] * weight[c] - level - (x[row + c] - centre) * scale * slope); } // … and through x`);
const LAYER_WEIGHT = columnSum('dout · (x − mean) · rstd', { dout: 'f32', x: 'f32', mean: 'f32', rstd: 'f32' }, 'dout[n * P.C + c] * (x[n * P.C + c] - mean[n]) * rstd[n]');
const LAYER_BIAS = columnSum('dout', { dout: 'f32' }, 'dout[n * P.C + c]');

export function createNormKernels(gpu: Gpu, memory: Memory): Pick<Device, 'rmsNorm' | 'rmsNormBackward' | 'layerNorm' | 'layerNormBackward' | 'linearBackwardBias'> {
  const part = (x: Parameters<Memory['part']>[0]) => memory.part(x, 'f32');
  return {
    rmsNorm: (out, rstd, x, weight, N, C, eps) => gpu.run(by(RMS_NORM, C), { out: part(out), rstd: part(rstd), x: part(x), weight: part(weight) }, { C, eps }, N),
    rmsNormBackward(dx, dweight, dout, x, weight, rstd, N, C) {
      const rows = { dout: part(dout), x: part(x), rstd: part(rstd) };
      gpu.run(by(RMS_NORM_BACKWARD, C), { dx: part(dx), weight: part(weight), ...rows }, { C }, N);
      if (dweight) addColumns(gpu, memory, RMS_WEIGHT, part(dweight), rows, N, C);
    },
    layerNorm: (out, mean, rstd, x, weight, bias, N, C, eps) =>
      gpu.run(by(LAYER_NORM, C), { out: part(out), mean: part(mean), rstd: part(rstd), x: part(x), weight: part(weight), bias: part(bias) }, { C, eps }, N),
    layerNormBackward(dx, dweight, dbias, dout, x, weight, mean, rstd, N, C) {
      const rows = { dout: part(dout), x: part(x), mean: part(mean), rstd: part(rstd) };
      gpu.run(by(LAYER_NORM_BACKWARD, C), { dx: part(dx), weight: part(weight), ...rows }, { C }, N);
      if (dweight) addColumns(gpu, memory, LAYER_WEIGHT, part(dweight), rows, N, C);
      if (dbias) addColumns(gpu, memory, LAYER_BIAS, part(dbias), { dout: rows.dout }, N, C);
    },
    linearBackwardBias: (dbias, dout, N, O) => addColumns(gpu, memory, LAYER_BIAS, part(dbias), { dout: part(dout) }, N, O),
  };
}
