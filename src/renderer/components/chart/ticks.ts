/** Where the axes of curves have their marks, and how those are written: as short as tells neighbours apart. */

const UNITS = [[1e12, 'T'], [1e9, 'B'], [1e6, 'M'], [1e3, 'k']] as const;
const TIMES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800];
const COUNTS = [1, 2, 5].flatMap((digit) => Array.from({ length: 13 }, (_, power) => digit * 10 ** power)).sort((a, b) => a - b);

/** Distances that marks of an x axis may have: seconds in clock units, steps and tokens as whole numbers. */
export function tickDistances(axis: 'step' | 'tokens' | 'time'): number[] {
  return axis === 'time' ? [0.001, 0.01, 0.1, ...TIMES] : COUNTS;
}

/**
 * Marks of a logarithmic axis: powers of ten with 2 and 5 where there is room, ordinary round numbers where the range is within one power.
 */
export function logTicks(min: number, max: number, count: number): number[] {
  const powers = Math.log10(max / min);
  if (powers < 1) return linearTicks(min, max, count);
  const digits = powers * 3 <= count * 1.5 ? [1, 2, 5] : [1];
  const stride = Math.max(1, Math.ceil(powers / count));
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power += stride) {
    for (const digit of digits) {
      const tick = Number(`${digit}e${power}`);
      if (tick >= min && tick <= max) ticks.push(tick);
    }
  }
  return ticks;
}

function linearTicks(min: number, max: number, count: number): number[] {
  const rough = (max - min) / Math.max(1, count);
  const power = Math.floor(Math.log10(rough));
  const digit = [1, 2, 5, 10].find((digit) => digit * 10 ** power >= rough)!;
  const distance = digit * 10 ** power;
  const ticks: number[] = [];
  for (let i = Math.ceil(min / distance); i * distance <= max; i++) ticks.push(Number((i * distance).toPrecision(12)));
  return ticks;
}

/** Marks as text, all in one manner: as many decimals as their smallest distance needs; powers of ten where numbers are very small. */
export function tickLabels(ticks: number[]): string[] {
  const largest = Math.max(...ticks.map(Math.abs), 0);
  if (largest > 0 && largest < 1e-3) return ticks.map((tick) => (tick === 0 ? '0' : shortExponent(tick)));
  let distance = Infinity;
  for (let i = 1; i < ticks.length; i++) distance = Math.min(distance, ticks[i] - ticks[i - 1]);
  if (largest >= 10_000) return ticks.map((tick) => shortLarge(tick, distance));
  const decimals = Number.isFinite(distance) ? decimalsOf(distance) : 3;
  return ticks.map((tick) => String(Number(tick.toFixed(decimals))));
}

/** That write it exactly, 6 at most: 1 for 0.5, 2 for 0.25. */
function decimalsOf(distance: number): number {
  let decimals = 0;
  for (let scaled = distance; decimals < 6 && Math.abs(scaled - Math.round(scaled)) > 1e-6 * scaled; scaled *= 10) decimals++;
  return decimals;
}

function shortExponent(value: number): string {
  return String(Number(value.toPrecision(2)).toExponential()).replace('e+', 'e');
}

/** 20k, 1.5M: enough decimals that marks `distance` apart differ. */
function shortLarge(value: number, distance: number): string {
  const [size, unit] = UNITS.find(([size]) => Math.abs(value) >= size) ?? ([1, ''] as const);
  return `${Number((value / size).toFixed(Number.isFinite(distance) ? Math.min(3, decimalsOf(distance / size)) : 1))}${unit}`;
}

/** 45s, 3m, 1h 30m: an axis has no room for more. */
export function timeTick(seconds: number): string {
  if (seconds < 60) return `${Number(seconds.toFixed(2))}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60 ? ` ${Math.round(seconds % 60)}s` : ''}`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${seconds % 3600 ? ` ${Math.round((seconds % 3600) / 60)}m` : ''}`;
  return `${Math.floor(seconds / 86_400)}d${seconds % 86_400 ? ` ${Math.round((seconds % 86_400) / 3600)}h` : ''}`;
}
