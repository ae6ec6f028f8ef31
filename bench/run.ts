/**
 * The bench: what the engine reaches on this machine, beside what the machine could do and what others reach on it.
 *   npm run bench -- [group …] [--json FILE] [--threads N] [--cpu] [--quick] [--only TEXT]
 * Groups: peak gemm kernels train sample tokenize import peers; all but peers when none is named (peers wants Python and torch, see peers.ts).
 * --cpu times by processor seconds, for a machine that others use at the same time; --only keeps figures whose name contains TEXT.
 * Names are group.what.size.measure. What was tried and what it gave is in LOG.md.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { benchGemm } from './gemm.ts';
import { benchImport } from './import.ts';
import { benchKernels } from './kernels.ts';
import { type Bench, createBench, machine } from './measure.ts';
import { benchPeak } from './peak.ts';
import { benchPeers } from './peers.ts';
import { benchSample } from './sample.ts';
import { benchTokenize } from './tokenize.ts';
import { benchTrain } from './train.ts';

const groups: Record<string, (bench: Bench, only: string) => Promise<void>> = {
  peak: benchPeak, gemm: benchGemm, kernels: benchKernels, train: benchTrain, sample: benchSample, tokenize: benchTokenize, import: benchImport, peers: benchPeers,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string' }, threads: { type: 'string' }, cpu: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
  },
});
const unknown = positionals.find((name) => !(name in groups));
if (unknown) throw new Error(`bench: there is no group ${unknown}; there are ${Object.keys(groups).join(', ')}`);
const options = { threads: Number(values.threads ?? 0) || availableParallelism(), cpu: values.cpu, quick: values.quick };
const results: Record<string, number> = {};
const about = machine(options);
console.log(Object.entries(about).map(([key, value]) => `${key} ${value}`).join(' · '));

const bench = createBench(options, (name, value, unit) => {
  results[name] = value;
  console.log(`${name.padEnd(52)} ${format(value).padStart(12)} ${unit}`);
});
for (const name of positionals.length > 0 ? positionals : Object.keys(groups).filter((each) => each !== 'peers')) {
  await groups[name](bench, values.only);
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine: about, results }, null, 2)}\n`);
}

function format(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value >= 10 ? value.toFixed(1) : value.toFixed(3);
}
