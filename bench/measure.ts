/**
 * How the bench takes time: medians of at least five runs after a warm-up, things that are compared in alternation (A-B-A-B), and the
 * yardsticks (FMA peak, read bandwidth) beside every figure, because the same machine drifts by a third from one minute to the next.
 * `cpu: true` counts processor seconds over threads instead of the clock: on a machine that others use, what the kernels need is still to be
 * seen that way (a thread that sleeps is not charged, one that spins is).
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import type { Device } from '../src/engine/device/device.ts';
import { createBursts, createNativeDevice } from '../src/engine/device/native.ts';
import type { DeviceName } from '../src/shared/devices.ts';

/** `toy`: toy shapes and no true time, see createToyBench. `device`: what gemm, train and sample run on; all else is the native one's. */
export type Options = { threads: number; cpu: boolean; toy: boolean; device: DeviceName };
export type Report = (name: string, value: number, unit: string) => void;
/**
 * FLOP/s or bytes/s now: of this machine, by as many threads as the bench has, or of another device by itself (devices.ts). Measured once, or again and
 * again for so many seconds: what others take of a machine changes many times a second.
 */
export type Yardstick = (seconds?: number) => number | Promise<number>;
export type Yardsticks = { peak: Yardstick; bandwidth: Yardstick };
/** Of this machine's, which its own threads measure at once. */
export type HostYardsticks = { peak: (seconds?: number) => number; bandwidth: (seconds?: number) => number };
/** `clock` is what figures of our own are timed by, `wall` what they are where others' programs stand beside them. */
export type Bench = Yardsticks & Target & { options: Options; report: Report; clock: Clock; wall: Clock; yardsticks: (threads: number) => HostYardsticks };
/** What gemm, train and sample measure. */
export type Target = {
  /** A device for one figure: the native one is made anew, another stays open and counts its memory from now on. */
  open: () => Device;
  /** Waits until the device has done all that it was told; the native one has at once. */
  settle: () => void | Promise<void>;
  /** What shares of `peak` are of: multiply-adds on registers, or the device's own fastest product where only that can be measured. */
  share: 'share_of_peak' | 'share_of_product';
  /** Work that is worth being timed at once, in units of `peak`: what the figure asks for, or what the device takes long enough for. */
  enough: (asked: number) => number;
  /** Makes the figures of `label`; what does not fit another device than the native one, or what it cannot do, is told and left out. */
  attempt: (label: string, work: () => Promise<void>) => Promise<void>;
  /** Whether so many operations, done as often as a figure wants, end in time; says so where not. */
  affords: (label: string, flops: number) => boolean;
};
/** Seconds since some time. */
export type Clock = () => number;
export const wallClock: Clock = () => Number(process.hrtime.bigint()) / 1e9;

export const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1];

export function createBench(options: Options, report: Report): Bench {
  const { threads, cpu } = options;
  const clockOf = (count: number): Clock => {
    if (!cpu) return wallClock;
    return () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6 / count;
    };
  };
  const yardsticks = (count: number): HostYardsticks => {
    const bursts = createBursts(count), clock = clockOf(count);
    return {
      // a burst of some 15 ms: processor time of other threads is booked in ticks of some ms
      peak: (seconds = 0) => rate(clock, () => bursts.fma(10_000_000), seconds),
      // a block that fits no cache; the first reading makes it
      bandwidth(seconds = 0) {
        bursts.read(1 << 26);
        return rate(clock, () => bursts.read(1 << 26), seconds);
      },
    };
  };
  return { options, report: checked(report), clock: clockOf(threads), wall: wallClock, yardsticks, ...nativeTarget(threads), ...yardsticks(threads) };
}

const nativeTarget = (threads: number): Target =>
  ({ open: () => createNativeDevice(threads), settle: () => {}, share: 'share_of_peak', enough: (asked) => asked, affords: () => true, attempt: (_, work) => work() });

/**
 * Every figure at shapes that take no time (configs.ts), with a clock that ticks a second whenever it is read: what the bench would report,
 * every line of it run once. The values mean nothing.
 */
export function createToyBench(report: Report): Bench {
  let seconds = 0;
  const clock: Clock = () => ++seconds;
  const one: HostYardsticks = { peak: () => 1e9, bandwidth: () => 1e9 };
  return { options: { threads: 1, cpu: false, toy: true, device: 'native' }, report: checked(report), clock, wall: clock, yardsticks: () => one, ...nativeTarget(1), ...one };
}

/** group.what.size.measure, or group.what.size.of.measure */
const NAME = /^[a-z]+(\.[A-Za-z0-9_]+){3,4}$/;

/** A report that refuses what would be lost or misread in the JSON file: a name out of form, one said twice, a value that is no number. */
function checked(report: Report): Report {
  const seen = new Set<string>();
  return (name, value, unit) => {
    if (!NAME.test(name)) throw new Error(`bench: ${name} is not of the form group.what.size.measure`);
    if (seen.has(name)) throw new Error(`bench: ${name} is reported twice`);
    if (!Number.isFinite(value)) throw new Error(`bench: ${name} came to ${value}`);
    seen.add(name);
    report(name, value, unit);
  };
}

function rate(clock: Clock, work: () => number, seconds: number): number {
  const start = clock();
  let amount = 0, took: number;
  do {
    amount += work();
    took = clock() - start;
  } while (took < seconds);
  return amount / took;
}

/** Some work; what times itself, as other programs do, gives its seconds. */
export type Timed = () => void | number | Promise<void | number>;

/** `warm` runs that are not counted, then `least` of each work or more and, with at most `most`, as many as make `seconds` of it. */
export type Turns = { least?: number; seconds?: number; most?: number; warm?: number };

/** Runs the works in turn; the seconds of each one's runs. */
async function turns(clock: Clock, works: Timed[], { least = 5, seconds = 0.3, most = 100, warm = 1 }: Turns): Promise<number[][]> {
  for (let i = 0; i < warm; i++) for (const work of works) await work();
  const times = works.map((): number[] => []);
  for (let round = 0, total = 0; round < least || (total < seconds * works.length && round < most); round++) {
    for (const [i, work] of works.entries()) {
      const start = clock();
      const told = await work();
      const took = told ?? clock() - start;
      times[i].push(took);
      total += took;
    }
  }
  return times;
}

/** The works in turn, median seconds of each. */
export const alternate = async (clock: Clock, works: Timed[], options: Turns = {}): Promise<number[]> => (await turns(clock, works, options)).map(median);

/** Two works in turn: median seconds of each, and how many times as long `theirs` takes, by the median of pairs: what disturbs the machine for longer than a run disturbs both. */
export async function compare(clock: Clock, ours: Timed, theirs: Timed, options: Turns = {}): Promise<{ ours: number; theirs: number; ratio: number }> {
  const [a, b] = await turns(clock, [ours, theirs], options);
  return { ours: median(a), theirs: median(b), ratio: median(a.map((seconds, i) => b[i] / seconds)) };
}

/** Median seconds of one run of `work`, and what the machine could have done meanwhile by what a yardstick said just before and after each run: the median, too. */
export async function timed(clock: Clock, yardstick: Yardstick, work: Timed, { warm = 1, ...options }: Turns = {}): Promise<{ seconds: number; possible: number }> {
  const rates: number[] = [];
  let took = 0;
  const [runs] = await turns(clock, [async () => {
    const start = clock();
    const told = await work();
    took = told ?? clock() - start;
    return took;
  }, async () => void rates.push(await yardstick(took / 5))], { warm: Math.max(warm, 1), ...options });
  const around = rates.slice(-runs.length - 1);
  return { seconds: median(runs), possible: median(runs.map((seconds, i) => seconds * (around[i] + around[i + 1]) / 2)) };
}

/** `timed` against the peak for something short: as many calls in a row as make about `most` of it (processor time is counted in coarse steps); of one call. */
export async function timedCalls(bench: Bench, call: () => void, each: number, most: number): Promise<{ seconds: number; possible: number }> {
  const calls = bench.options.toy ? 1 : Math.max(1, Math.round(bench.enough(most) / each));
  const { seconds, possible } = await timed(bench.clock, bench.peak, async () => {
    for (let i = 0; i < calls; i++) call();
    await bench.settle();
  });
  return { seconds: seconds / calls, possible: possible / calls };
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
