/**
 * The same work by others, in turn with ours, by the clock and on the same threads: PyTorch and TRL (a Python that PEER_PYTHON names), llama.cpp
 * (from npm). PyTorch's step and llama.cpp's models come from scripts in ../shared/peers, or the folder that PEERS names. Whoever is not there is
 * left out, in a sentence that says how to get them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench } from './measure.ts';
import { benchLlamaCpp, hasLlamaCpp } from './peers/llamacpp.ts';
import { benchTorch } from './peers/torch.ts';
import { benchTrl } from './peers/trl.ts';

const folder = process.env.PEERS ?? fileURLToPath(new URL('../../shared/peers', import.meta.url));
const python = process.env.PEER_PYTHON ?? 'python3';
const GET = { python: `a Python with them (pip install -r fixtures/requirements.txt), named by PEER_PYTHON (now ${python})`, folder: `the folder of their scripts, named by PEERS (now ${folder})` };

export async function benchPeers(bench: Bench, only: string): Promise<void> {
  if (present(bench, 'PyTorch', ['torch'], 'torch_train.py')) await benchTorch(bench, only, python, folder);
  if (present(bench, 'TRL', ['torch', 'trl'])) await benchTrl(bench, only, python);
  if (!bench.options.toy && !hasLlamaCpp()) console.log('peers: llama.cpp is left out; it wants node-llama-cpp (on Linux, x64), which node bench/peers/run.mjs --only llamacpp installs');
  else if (present(bench, 'llama.cpp', ['numpy'], 'make_gguf.py')) await benchLlamaCpp(bench, only, python, folder);
}

/** Whether what a peer needs is there; says so where it is not. A toy bench starts nothing and needs nothing. */
function present({ options: { toy } }: Bench, peer: string, modules: string[], script?: string): boolean {
  if (toy) return true;
  const find = `import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ${JSON.stringify(modules)})))`;
  const missing = [
    ...(script && !existsSync(join(folder, script)) ? [GET.folder] : []),
    ...(spawnSync(python, ['-c', find]).status === 0 ? [] : [GET.python]),
  ];
  if (missing.length > 0) console.log(`peers: ${peer} is left out; it wants ${missing.join(' and ')}`);
  return missing.length === 0;
}
