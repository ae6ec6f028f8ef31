/**
 * Cosines and sines of rotary positions, with the scalings that stretch a model beyond the length it was trained on.
 * Follows transformers' modeling_rope_utils.py, in f32 where it is f32: at position 4000 the rounding of a frequency is visible.
 */
import type { Device } from '../device/device.ts';
import type { RotaryTable } from '../ops/rope.ts';
import type { ModelConfig } from './config.ts';

const f32 = Math.fround;

/** (R/2) angles per position, and the factor on cosine and sine. */
export function inverseFrequencies(config: ModelConfig): { frequencies: Float32Array; attentionFactor: number } {
  const R = config.headDim;
  const base = config.ropeTheta;
  const scaling = config.ropeScaling;
  const frequencies = Float32Array.from({ length: R / 2 }, (_, i) => 1 / f32(base ** f32((2 * i) / R)));
  switch (scaling.ropeType) {
    case 'default':
      return { frequencies, attentionFactor: 1 };
    case 'linear':
      return { frequencies: frequencies.map((f) => f / scaling.factor), attentionFactor: 1 };
    case 'llama3': {
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = scaling;
      const scaled = frequencies.map((f) => {
        const wavelength = (2 * Math.PI) / f;
        if (wavelength > originalMaxPositionEmbeddings / lowFreqFactor) return f / factor;
        if (wavelength < originalMaxPositionEmbeddings / highFreqFactor) return f;
        const smooth = (originalMaxPositionEmbeddings / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
        return ((1 - smooth) * f) / factor + smooth * f;
      });
      return { frequencies: scaled, attentionFactor: 1 };
    }
    case 'yarn': {
      const { factor, betaFast, betaSlow, truncate, originalMaxPositionEmbeddings, attentionFactor } = scaling;
      // The dimension that turns `rotations` times over the original length; between the two bounds, blend.
      const dimension = (rotations: number) => (R * Math.log(originalMaxPositionEmbeddings / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
      let [low, high] = [dimension(betaFast), dimension(betaSlow)];
      if (truncate) [low, high] = [Math.floor(low), Math.ceil(high)];
      [low, high] = [Math.max(low, 0), Math.min(high, R - 1)];
      if (low === high) high += 0.001;
      const scaled = frequencies.map((f, i) => {
        const ramp = Math.min(Math.max((i - low) / (high - low), 0), 1);
        return (f / factor) * ramp + f * (1 - ramp);
      });
      return { frequencies: scaled, attentionFactor };
    }
  }
}

/** A table that grows to the positions a forward needs, by powers of two. */
export function createRotaryTable(device: Device, config: ModelConfig): RotaryTable & { reserve(positions: number): void; free(): void } {
  const { frequencies, attentionFactor } = inverseFrequencies(config);
  const R = config.headDim;
  let positions = 0;
  const table = {
    rotaryDims: R,
    cosSin: device.alloc(R),
    reserve(needed: number) {
      if (needed <= positions) return;
      positions = Math.max(64, 2 ** Math.ceil(Math.log2(needed)));
      const rows = new Float32Array(positions * R);
      for (let p = 0; p < positions; p++) {
        for (let d = 0; d < R / 2; d++) {
          const angle = f32(p * frequencies[d]!);
          rows[p * R + d] = Math.cos(angle) * attentionFactor;
          rows[p * R + R / 2 + d] = Math.sin(angle) * attentionFactor;
        }
      }
      device.free(table.cosSin);
      table.cosSin = device.alloc(rows.length);
      device.write(table.cosSin, rows);
    },
    free: () => device.free(table.cosSin),
  };
  return table;
}
