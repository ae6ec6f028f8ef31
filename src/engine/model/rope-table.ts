/**
 * Cosines and sines of rotary positions, with the scalings that stretch a model beyond the length it was trained on.
 * Follows transformers' modeling_rope_utils.py, in f32 where it is f32: at position 4000 the rounding of a frequency is visible.
 */
import type { Device } from '../device/device.ts';
import type { RotaryTable } from '../ops/rope.ts';
import type { ModelConfig, Rope } from './config.ts';

const f32 = Math.fround;

/** (R/2) angles per position, and the factor on cosine and sine. `long` asks for longrope's second table. */
export function inverseFrequencies({ theta: base, scaling }: Rope, R: number, long = false): { frequencies: Float32Array; attentionFactor: number } {
  const frequencies = Float32Array.from({ length: R / 2 }, (_, i) => 1 / f32(base ** f32((2 * i) / R)));
  switch (scaling.ropeType) {
    case 'default':
    case 'dynamic':
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
    case 'longrope': {
      const { shortFactor, longFactor, attentionFactor } = scaling;
      const factors = long ? longFactor : shortFactor;
      return { frequencies: Float32Array.from(factors, (factor, i) => 1 / f32(f32(factor) * f32(base ** f32((2 * i) / R)))), attentionFactor };
    }
  }
}

/**
 * Whether a text turns by the long frequencies: transformers switches the whole forward when its longest text passes the original length.
 * Here each text is asked for itself, with those that share its prompt.
 */
export function turnsLong(config: ModelConfig, length: number): boolean {
  return config.ropes.some(({ scaling }) => scaling.ropeType === 'longrope' && length > scaling.originalMaxPositionEmbeddings);
}

/**
 * The table's row of each token. With longrope a position has two, short before long; segments is (S, 6), see Device.attention.
 * Throws where a text is longer than what its scaling is computed for.
 */
export function rotaryRows(config: ModelConfig, positions: Int32Array, segments: Int32Array): Int32Array {
  for (const { scaling } of config.ropes) {
    if (scaling.ropeType !== 'dynamic') continue;
    const longest = positions.reduce((most, position) => Math.max(most, position), -1) + 1;
    if (longest > scaling.maxPositionEmbeddings) {
      throw new Error(
        `forward: a text of ${longest} tokens is longer than max_position_embeddings (${scaling.maxPositionEmbeddings}); dynamic rope scaling turns ` +
        'such texts by other angles with every token, which is not supported: shorten it',
      );
    }
  }
  if (!config.ropes.some(({ scaling }) => scaling.ropeType === 'longrope')) return positions;
  const [fields, S] = [6, segments.length / 6];
  /** By first row of the shared prompt: the longest text that goes through it. */
  const longest = new Map<number, number>();
  for (let s = 0; s < S; s++) {
    const [, , prefixStart, prefixLength, keyStart, keyLength] = segments.subarray(s * fields, (s + 1) * fields);
    const root = prefixLength > 0 ? prefixStart : keyStart;
    longest.set(root, Math.max(longest.get(root) ?? 0, prefixLength + keyLength));
  }
  const rows = positions.map((position) => 2 * position);
  for (let s = 0; s < S; s++) {
    const [start, length, prefixStart, prefixLength, keyStart] = segments.subarray(s * fields, (s + 1) * fields);
    if (!turnsLong(config, longest.get(prefixLength > 0 ? prefixStart : keyStart)!)) continue;
    for (let row = start; row < start + length; row++) rows[row]!++;
  }
  return rows;
}

export type GrowingTable = RotaryTable & { reserve(rows: number): void; free(): void };

/** A table of one of the config's ropes that grows to the rows a forward needs, by powers of two. */
export function createRotaryTable(device: Device, rope: Rope, R: number): GrowingTable {
  const tables = rope.scaling.ropeType === 'longrope' ? [false, true].map((long) => inverseFrequencies(rope, R, long)) : [inverseFrequencies(rope, R)];
  let rows = 0;
  const table = {
    rotaryDims: R,
    cosSin: device.alloc(R),
    reserve(needed: number) {
      if (needed <= rows) return;
      rows = Math.max(64, 2 ** Math.ceil(Math.log2(needed)));
      const values = new Float32Array(rows * R);
      for (let row = 0; row < rows; row++) {
        const { frequencies, attentionFactor } = tables[row % tables.length]!;
        const position = Math.floor(row / tables.length);
        for (let d = 0; d < R / 2; d++) {
          const angle = f32(position * frequencies[d]!);
          values[row * R + d] = Math.cos(angle) * attentionFactor;
          values[row * R + R / 2 + d] = Math.sin(angle) * attentionFactor;
        }
      }
      device.free(table.cosSin);
      table.cosSin = device.alloc(values.length);
      device.write(table.cosSin, values);
    },
    free: () => device.free(table.cosSin),
  };
  return table;
}
