/**
 * SFT and DPO of the embedded model on real rows by TRL's trainers, in turn with ours: a pass over the same rows, equal batches. DPO's reference
 * log-probs are part of both sides' pass: TRL computes them step by step, ours before the first; a second pass would spare us that.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNativeDevice } from '../../src/engine/device/native.ts';
import { type Bench, compare } from '../measure.ts';
import { MODEL, readInstructions, readPairs } from '../rows.ts';
import { REAL_BATCH, REAL_ROWS, round } from '../train.ts';
import { createRealTrainer } from '../trainer.ts';
import { openPeer } from './process.ts';

export async function benchTrl(bench: Bench, only: string, python: string): Promise<void> {
  const { threads, toy } = bench.options;
  const script = new URL('trl_steps.py', import.meta.url).pathname;
  for (const [method, read] of [['sft', readInstructions], ['dpo', readPairs]] as const) {
    if (!`train.${method}.real`.includes(only)) continue;
    const count = toy ? 1 : REAL_ROWS[method];
    const { rows, texts } = await read(count);
    const folder = mkdtempSync(join(tmpdir(), 'attune-trl-'));
    writeFileSync(join(folder, 'rows.json'), JSON.stringify(texts));
    const env = { OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads), HF_HUB_OFFLINE: '1' };
    const trl = await openPeer(bench, python, [script, method, MODEL, join(folder, 'rows.json'), String(REAL_BATCH), String(threads)], env);
    const trainer = await createRealTrainer(createNativeDevice(threads), rows, REAL_BATCH);
    const { theirs, ratio } = await compare(bench.wall, async () => {
      await trainer.reference();
      await round(trainer, count);
    }, () => trl.ask('pass'), { seconds: 0 });
    bench.report(`peers.trl.${method}.real.rows_per_s`, count / theirs, 'rows/s');
    bench.report(`train.${method}.real.vs_trl`, ratio, '×');
    trainer.free();
    await trl.close();
    rmSync(folder, { recursive: true });
  }
}
