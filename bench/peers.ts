/**
 * The same work by others, in alternation with ours on the same threads: PyTorch (../shared/peers/torch_train.py: plain, compiled, tuned; the
 * fastest counts). Wants a Python with torch, named by PEER_PYTHON, and ../shared/peers (or the folder PEERS names); without them it says so
 * and is left out. Not here yet: TRL's trainers and llama.cpp.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createNativeDevice } from '../src/engine/device/native.ts';
import { sizes } from './configs.ts';
import { alternate, type Bench, median } from './measure.ts';
import { createTrainer, type Method } from './train.ts';

const folder = process.env.PEERS ?? fileURLToPath(new URL('../../shared/peers', import.meta.url));
const python = process.env.PEER_PYTHON ?? 'python3';

export async function benchPeers(bench: Bench, only: string): Promise<void> {
  const script = join(folder, 'torch_train.py');
  if (!existsSync(script) || spawnSync(python, ['-c', 'import torch']).status !== 0) {
    console.log(`peers: left out; they need ${script} and a Python with torch (PEER_PYTHON=…/bin/python)`);
    return;
  }
  for (const name of Object.keys(sizes)) {
    for (const method of ['sft', 'lora', 'dpo'] as const) {
      const label = `train.${method}.${name}`;
      if (!label.includes(only)) continue;
      const rounds = bench.options.quick ? 1 : 3;
      const ours: number[] = [], theirs = new Map<string, number[]>();
      for (let round = 0; round < rounds; round++) {
        for (const kind of [['--impl', 'plain'], ['--impl', 'tuned'], ...(bench.options.quick ? [] : [['--impl', 'plain', '--compile']])]) {
          const rate = torch(script, [...kind, '--cfg', name, '--mode', method, '--threads', String(bench.options.threads), '--want', '2']);
          theirs.set(kind.join(' '), [...(theirs.get(kind.join(' ')) ?? []), rate]);
          ours.push(await measureOurs(bench, method, name));
        }
      }
      const best = Math.max(...[...theirs.values()].map(median));
      bench.report(`peers.torch.${method}.${name}.tokens_per_s`, best, 'tokens/s');
      bench.report(`${label}.tokens_per_s`, median(ours), 'tokens/s');
      bench.report(`${label}.vs_torch`, median(ours) / best, '×');
    }
  }

  async function measureOurs(own: Bench, method: Method, name: string): Promise<number> {
    const trainer = await createTrainer(createNativeDevice(own.options.threads), method, sizes[name]);
    const clock = () => Number(process.hrtime.bigint()) / 1e9; // theirs is the clock's too
    const [seconds] = await alternate(clock, [async () => void (await trainer.step())], { least: 5, seconds: 0, warm: 2 });
    trainer.free();
    return (sizes[name].T * sizes[name].B) / seconds;
  }
}

function torch(script: string, args: string[]): number {
  const { stdout, stderr, status } = spawnSync(python, [script, ...args], { encoding: 'utf8', env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' } });
  const line = stdout.trim().split('\n').at(-1) ?? '';
  if (status !== 0 || !line.startsWith('{')) throw new Error(`peers: torch_train.py ${args.join(' ')} failed: ${stderr.slice(-500)}`);
  return (JSON.parse(line) as { tok_s: number }).tok_s;
}
