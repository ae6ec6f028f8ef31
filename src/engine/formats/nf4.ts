/**
 * NF4 with its scales quantised again, as bitsandbytes has them (Dettmers et al. 2023, "QLoRA: Efficient Finetuning of Quantized LLMs"): blocks of 64
 * numbers, each the nearest of 16 that are equally likely in a normal distribution, times the largest in the block; those scales, less their mean, are bytes of
 * bitsandbytes' dynamic map in blocks of 256. 4.13 bits a number.
 *
 * Bytes of n numbers, all parts one behind the other: f32 mean; f32 map (256); f32 scale of the scales (⌈n / 64 / 256⌉); a byte a scale (n / 64); n / 2 bytes, the first of
 * two numbers in the high half. Two things are our own: the mean is summed in float64, where torch's sum depends on the machine; a block of zeros is zeros,
 * where bitsandbytes divides by 0 and gets the smallest number there is.
 */
export const NF4_BLOCK = 64; // numbers
const OUTER = 256; // scales that share a scale
const HEAD = 4 * (1 + 256); // bytes of mean and map

const f32 = Math.fround;

/** Of a block scaled to [−1, 1]. */
export const NF4_NUMBERS = Float32Array.of(
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
);
const ZERO = 7;

export const nf4Bytes = (length: number): number => {
  const blocks = length / NF4_BLOCK;
  return HEAD + 4 * Math.ceil(blocks / OUTER) + blocks + length / 2;
};

/** `values.length` must be a multiple of 64. */
export function quantizeNf4(values: Float32Array): Uint8Array {
  const blocks = values.length / NF4_BLOCK;
  const out = new Uint8Array(nf4Bytes(values.length));
  const { head, outer, scales, nibbles } = nf4Sections(out);
  const largest = new Float32Array(blocks);
  for (let block = 0; block < blocks; block++) {
    let max = 0;
    for (let i = block * NF4_BLOCK; i < (block + 1) * NF4_BLOCK; i++) max = Math.max(max, Math.abs(values[i]!));
    largest[block] = max;
    const inverse = f32(1 / max);
    for (let i = 0; i < NF4_BLOCK / 2; i++) {
      const at = block * NF4_BLOCK + 2 * i;
      nibbles[at / 2] = max === 0 ? (ZERO << 4) | ZERO : (nearestNumber(f32(values[at]! * inverse)) << 4) | nearestNumber(f32(values[at + 1]! * inverse));
    }
  }
  const mean = f32(largest.reduce((sum, scale) => sum + scale, 0) / blocks);
  head[0] = mean;
  head.set(DYNAMIC_MAP, 1);
  for (let first = 0; first < blocks; first += OUTER) {
    const centred = largest.slice(first, first + OUTER).map((scale) => scale - mean);
    const max = centred.reduce((most, scale) => Math.max(most, Math.abs(scale)), 0);
    outer[first / OUTER] = max;
    const inverse = f32(1 / max);
    centred.forEach((scale, i) => (scales[first + i] = max === 0 ? DYNAMIC_ZERO : nearestOf(DYNAMIC_MAP, clamped(f32(scale * inverse)))));
  }
  return out;
}

/** The scale of each block, and two numbers a byte. */
export function nf4Parts(bytes: Uint8Array): { scales: Float32Array; nibbles: Uint8Array } {
  const { head, outer, scales, nibbles } = nf4Sections(bytes);
  return { scales: Float32Array.from(scales, (scale, block) => f32(head[1 + scale]! * outer[Math.floor(block / OUTER)]!) + head[0]!), nibbles };
}

/** The numbers the bytes mean. */
export function dequantizeNf4(bytes: Uint8Array, length: number): Float32Array {
  const { scales, nibbles } = nf4Parts(bytes);
  const out = new Float32Array(length);
  for (let block = 0; block < scales.length; block++) {
    const scale = scales[block]!;
    for (let i = block * NF4_BLOCK; i < (block + 1) * NF4_BLOCK; i += 2) {
      const two = nibbles[i / 2]!;
      out[i] = NF4_NUMBERS[two >> 4]! * scale;
      out[i + 1] = NF4_NUMBERS[two & 15]! * scale;
    }
  }
  return out;
}

/** Its parts, over the same memory: the mean and the map in one. */
export function nf4Sections(bytes: Uint8Array): { head: Float32Array; outer: Float32Array; scales: Uint8Array; nibbles: Uint8Array } {
  // bytes = HEAD + 4 · ⌈blocks / 256⌉ + 33 · blocks: the blocks follow from it
  let blocks = Math.floor((bytes.length - HEAD) / (33 + 4 / OUTER));
  while (nf4Bytes(blocks * NF4_BLOCK) > bytes.length) blocks--;
  const groups = Math.ceil(blocks / OUTER);
  const from = (offset: number) => bytes.byteOffset + offset;
  return {
    head: new Float32Array(bytes.buffer, from(0), 257),
    outer: new Float32Array(bytes.buffer, from(HEAD), groups),
    scales: new Uint8Array(bytes.buffer, from(HEAD + 4 * groups), blocks),
    nibbles: new Uint8Array(bytes.buffer, from(HEAD + 4 * groups + blocks), blocks * (NF4_BLOCK / 2)),
  };
}

const clamped = (x: number): number => Math.min(1, Math.max(-1, x));

/** Cells of [−1, 1], each with at most one place where the nearest number changes: the number below it, and that place. */
const CELLS = 64;
const midpoints = Array.from({ length: 15 }, (_, i) => (NF4_NUMBERS[i]! + NF4_NUMBERS[i + 1]!) / 2);
const below = Uint8Array.from({ length: CELLS + 1 }, (_, cell) => midpoints.filter((middle) => middle < (2 * cell) / CELLS - 1).length);
const change = Float64Array.from({ length: CELLS + 1 }, (_, cell) => midpoints[below[cell]!] ?? Infinity);

/** As nearestOf(NF4_NUMBERS, x), for they are asked for a hundred million times. */
function nearestNumber(x: number): number {
  const y = x > 1 ? 1 : x < -1 ? -1 : x;
  const cell = ((y + 1) * (CELLS / 2)) | 0;
  const past = y - change[cell]!;
  if (past < 1e-6 && past > -1e-6) return nearestOf(NF4_NUMBERS, y);
  return below[cell]! + (past > 0 ? 1 : 0);
}

/** The index of the nearest of ascending numbers by distances in float32, the lower one on a tie. */
function nearestOf(numbers: Float32Array, x: number): number {
  let low = 0;
  for (let high = numbers.length - 1; low < high - 1; ) {
    const middle = (low + high) >>> 1;
    if (numbers[middle]! <= x) low = middle;
    else high = middle;
  }
  return Math.abs(f32(x - numbers[low + 1]!)) < Math.abs(f32(x - numbers[low]!)) ? low + 1 : low;
}

/** bitsandbytes' create_dynamic_map: seven decades with twice as many steps in each, means of neighbouring bounds, both signs, 0 and 1. */
function dynamicMap(): Float32Array {
  const numbers = [0, 1];
  for (let decade = 0; decade < 7; decade++) {
    const steps = 2 ** decade;
    const step = f32(f32(1 - f32(0.1)) / steps);
    // torch.linspace counts from the nearer end, and rounds once
    const bound = (i: number) => (i < (steps + 1) >> 1 ? f32(f32(0.1) + step * i) : f32(1 - step * (steps - i)));
    for (let i = 0; i < steps; i++) {
      const mean = f32(f32(bound(i) + bound(i + 1)) / 2);
      const number = f32(f32(10 ** (decade - 6)) * mean);
      numbers.push(number, -number);
    }
  }
  return Float32Array.from(numbers).sort();
}
const DYNAMIC_MAP = dynamicMap();
const DYNAMIC_ZERO = DYNAMIC_MAP.indexOf(0);
