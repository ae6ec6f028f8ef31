/** The bench's groups by name, in the order they run. */
import { benchGemm } from './gemm.ts';
import { benchImport } from './import.ts';
import { benchKernels } from './kernels.ts';
import type { Bench } from './measure.ts';
import { benchMasks } from './masks.ts';
import { benchPeak } from './peak.ts';
import { benchPeers } from './peers.ts';
import { benchSample } from './sample.ts';
import { benchServe } from './serve.ts';
import { benchStrategies } from './strategies.ts';
import { benchTokenize } from './tokenize.ts';
import { benchTrain } from './train.ts';

/** Measures and reports; figures whose name up to the measure does not contain `only` are left out. */
export const groups: Record<string, { about: string; run: (bench: Bench, only: string) => Promise<void> }> = {
  peak: { about: 'multiply-adds and memory reads of this machine, the yardsticks', run: benchPeak },
  gemm: { about: 'matrix products with every kind of weight: cubes and the shapes of S and M', run: benchGemm },
  kernels: { about: 'attention, the head, norms, activations, AdamW', run: benchKernels },
  train: { about: 'SFT, LoRA and DPO at D, S, M; growth with T and batch; real rows; memory', run: benchTrain },
  sample: {
    about: 'reading a prompt, decoding 1, 8 and 32 sequences, 8 samples of one prompt, at S and M; masks of constraints over the time of a token; best of 8 and 4 beams at M',
    run: async (bench, only) => {
      await benchSample(bench, only);
      if (bench.options.device !== 'native') return; // what follows is the processor's work
      await benchMasks(bench, only);
      await benchStrategies(bench, only);
    },
  },
  serve: { about: 'tokens/s that 1, 32 and 200 clients of attune serve get at once', run: benchServe },
  tokenize: { about: 'text to ids, rows to sequences', run: benchTokenize },
  import: { about: 'dataset files to rows', run: benchImport },
  peers: { about: 'PyTorch, TRL and llama.cpp in turn with ours; only when named', run: benchPeers },
};
