/**
 * How the bench takes time: medians of at least five runs after a warm-up, things that are compared in alternation (A-B-A-B), and the
 * yardsticks (FMA peak, read bandwidth) beside every figure, because the same machine drifts by a third from one minute to the next.
 * `cpu: true` counts processor seconds over threads instead of the clock: on a machine that others use, what the kernels need is still to be
 * seen that way (a thread that sleeps is not charged, one that spins is).
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { createBursts } from '../src/engine/device/native.ts';

export type Options = { threads: number; cpu: boolean; quick: boolean };
export type Report = (name: string, value: number, unit: string) => void;
export type Bench = { options: Options; report: Report; clock: Clock; peak: () => number; bandwidth: () => number };
/** Seconds since some time. */
export type Clock = () => number;

export const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1];

export function createBench(options: Options, report: Report): Bench {
  const { threads, cpu } = options;
  const clock: Clock = cpu
    ? () => {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1e6 / threads;
      }
    : () => Number(process.hrtime.bigint()) / 1e9;
  const bursts = createBursts(threads);
  return {
    options, report, clock,
    /** FLOP/s now. Processor time of other threads is booked in ticks of some ms, so it wants a longer burst. */
    peak: () => rate(clock, () => bursts.fma(cpu ? 10_000_000 : 1_000_000), cpu ? 1 : 3),
    /** bytes/s now, of a block that fits no cache */
    bandwidth: () => rate(clock, () => bursts.read(1 << 27), 3),
  };
}

function rate(clock: Clock, work: () => number, times: number): number {
  work();
  return median(Array.from({ length: times }, () => {
    const start = clock();
    const amount = work();
    return amount / (clock() - start);
  }));
}

/**
 * Runs the works in turn until each has `least` runs and, within bounds, `seconds` of them; median seconds of each. The yardstick, when
 * given, is taken once a round and its median comes last.
 */
export async function alternate(
  clock: Clock, works: (() => void | Promise<void>)[], { least = 5, seconds = 0.3, most = 100, warm = 1 } = {},
): Promise<number[]> {
  for (let i = 0; i < warm; i++) for (const work of works) await work();
  const times = works.map((): number[] => []);
  for (let round = 0, total = 0; round < least || (total < seconds * works.length && round < most); round++) {
    for (const [i, work] of works.entries()) {
      const start = clock();
      await work();
      const took = clock() - start;
      times[i].push(took);
      total += took;
    }
  }
  return times.map(median);
}

/** Median seconds of one run of `work`, and FLOP/s at peak taken before and after it. */
export async function timed(bench: Bench, work: () => void | Promise<void>, options: Parameters<typeof alternate>[2] = {}): Promise<{ seconds: number; peak: number }> {
  const before = bench.peak();
  const [seconds] = await alternate(bench.clock, [work], options);
  return { seconds, peak: (before + bench.peak()) / 2 };
}

/** The most memory this process ever held, bytes (Linux counts it for us). */
export function peakRss(): number {
  return process.resourceUsage().maxRSS * 1024;
}

export function machine(options: Options): Record<string, string | number | boolean> {
  let commit = '';
  try {
    commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    // not a clone
  }
  let load = '';
  try {
    load = readFileSync('/proc/loadavg', 'utf8').split(' ')[0];
  } catch {
    // not Linux
  }
  return {
    processor: cpus()[0]?.model ?? process.arch, cores: availableParallelism(), threads: options.threads, memory: totalmem(),
    system: `${process.platform} ${release()}`, node: process.version, commit, load, timedBy: options.cpu ? 'processor seconds' : 'clock',
  };
}
