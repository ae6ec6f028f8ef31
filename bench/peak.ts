/** The yardsticks: f32 fused multiply-adds on registers, and reads of a block that fits no cache; one thread and all. Measured in C++ (native/*_burst.cpp). */
import type { Bench } from './measure.ts';

export async function benchPeak(bench: Bench): Promise<void> {
  for (const threads of new Set([1, bench.options.threads])) {
    const { peak, bandwidth } = bench.yardsticks(threads);
    bench.report(`peak.fma.${threads}.gflops`, peak(0.5) / 1e9, 'GFLOP/s');
    bench.report(`peak.read.${threads}.gb_per_s`, bandwidth(0.5) / 1e9, 'GB/s');
  }
}
