/**
 * The bench's command line: what the engine reaches on this machine, beside what the machine could do and what others reach on it.
 * `npm run bench -- --help` tells the rest. What was tried and what it gave is in LOG.md.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { DeviceName } from '../src/shared/devices.ts';
import { shrinkSizes } from './configs.ts';
import { createDeviceBench } from './devices.ts';
import { groups } from './groups.ts';
import { createBench, createToyBench, machine, type Report } from './measure.ts';
import { createTable, format } from './table.ts';

const HELP = `npm run bench -- [group …] [options]

Groups; all but peers when none is named:
${Object.entries(groups).map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`).join('\n')}

Options:
  --json FILE   also write { machine, results: { NAME: VALUE } }, after each group
  --device NAME run gemm, train and sample on another device (attune devices lists them), and print a table of them for LOG.md; on a
                graphics card PyTorch trains in turn with it, where PEER_PYTHON finds CUDA
  --budget S    leave out, by name, what would take longer than S seconds on that device (30)
  --only TEXT   only figures whose name, without its measure, contains TEXT
  --threads N   as many as the machine has, when not said
  --cpu         time by processor seconds over threads, for a machine that others use at the same time
  --list        names of the figures, without measuring
  --help

The peers are found by PEERS, the folder of their scripts (../shared/peers), and PEER_PYTHON, a Python with fixtures/requirements.txt (python3);
llama.cpp is installed by node bench/peers/run.mjs --only llamacpp. Those that are not there are left out, and that is said.

Names are group.what.size.measure, some with one part more before the measure. Values are medians of at least five runs, where no other number is said.`;

/** Groups that run on any device. */
const ON_DEVICES = ['gemm', 'train', 'sample'];

const { values, positionals } = parse();
const threads = Number(values.threads ?? availableParallelism());
const unknown = positionals.find((name) => !(name in groups));
const device = DeviceName.safeParse(values.device);
const elsewhere = values.device !== 'native';
const chosen = positionals.length > 0 ? positionals : elsewhere ? ON_DEVICES : Object.keys(groups).filter((name) => name !== 'peers' || values.list);
if (unknown) {
  refuse(`there is no group ${unknown}; there are ${Object.keys(groups).join(', ')}`);
} else if (!Number.isInteger(threads) || threads < 1) {
  refuse(`--threads ${values.threads} is no number of threads`);
} else if (!device.success) {
  refuse(`--device ${values.device} is not one of ${DeviceName.options.join(', ')}`);
} else if (elsewhere && chosen.some((name) => !ON_DEVICES.includes(name))) {
  refuse(`on ${values.device} there are ${ON_DEVICES.join(', ')}; the other groups measure the processor`);
} else if (!(Number(values.budget) > 0)) {
  refuse(`--budget ${values.budget} is no number of seconds`);
} else if (values.help) {
  console.log(HELP);
} else if (values.list) {
  shrinkSizes();
  const bench = createToyBench((name) => console.log(name));
  for (const name of chosen) await groups[name].run(bench, values.only);
} else {
  await measure(device.data);
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'string' }, only: { type: 'string', default: '' }, threads: { type: 'string' }, cpu: { type: 'boolean', default: false },
        device: { type: 'string', default: 'native' }, budget: { type: 'string', default: '30' },
        list: { type: 'boolean', default: false }, help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    process.exit(1);
  }
}

function refuse(why: string): void {
  console.error(`bench: ${why}`);
  process.exitCode = 1;
}

async function measure(device: DeviceName): Promise<void> {
  const options = { threads, cpu: values.cpu, toy: false, device };
  const results: Record<string, number> = {};
  const table = createTable();
  const report: Report = (name, value, unit) => {
    results[name] = value;
    table.add(name, value, unit);
    console.log(`${name.padEnd(52)} ${format(value).padStart(12)} ${unit}`);
  };
  const opened = elsewhere ? await createDeviceBench(options, Number(values.budget), report) : { bench: createBench(options, report), about: {} };
  const { bench } = opened;
  const about = { ...machine(options), ...opened.about };
  console.log(Object.entries(about).map(([key, value]) => `${key} ${value}`).join(' · '));
  for (const name of chosen) {
    await groups[name].run(bench, values.only);
    if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine: about, results }, null, 2)}\n`);
  }
  if (elsewhere) console.log(`\n${table.text(about)}`);
}
