/**
 * The bench's command line: what the engine reaches on this machine, beside what the machine could do and what others reach on it.
 * `npm run bench -- --help` tells the rest. What was tried and what it gave is in LOG.md.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { shrinkSizes } from './configs.ts';
import { groups } from './groups.ts';
import { createBench, createToyBench, machine } from './measure.ts';

const HELP = `npm run bench -- [group …] [options]

Groups; all but peers when none is named:
${Object.entries(groups).map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`).join('\n')}

Options:
  --json FILE   also write { machine, results: { NAME: VALUE } }, after each group
  --only TEXT   only figures whose name, without its measure, contains TEXT
  --threads N   as many as the machine has, when not said
  --cpu         time by processor seconds over threads, for a machine that others use at the same time
  --list        names of the figures, without measuring
  --help

The peers are found by PEERS, the folder of their scripts (../shared/peers), and PEER_PYTHON, a Python with fixtures/requirements.txt (python3);
llama.cpp is installed by node bench/peers/run.mjs --only llamacpp. Those that are not there are left out, and that is said.

Names are group.what.size.measure, some with one part more before the measure. Values are medians of at least five runs, where no other number is said.`;

const { values, positionals } = parse();
const threads = Number(values.threads ?? availableParallelism());
const unknown = positionals.find((name) => !(name in groups));
const chosen = positionals.length > 0 ? positionals : Object.keys(groups).filter((name) => name !== 'peers' || values.list);
if (unknown) {
  refuse(`there is no group ${unknown}; there are ${Object.keys(groups).join(', ')}`);
} else if (!Number.isInteger(threads) || threads < 1) {
  refuse(`--threads ${values.threads} is no number of threads`);
} else if (values.help) {
  console.log(HELP);
} else if (values.list) {
  shrinkSizes();
  const bench = createToyBench((name) => console.log(name));
  for (const name of chosen) await groups[name].run(bench, values.only);
} else {
  await measure();
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'string' }, only: { type: 'string', default: '' }, threads: { type: 'string' }, cpu: { type: 'boolean', default: false },
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

async function measure(): Promise<void> {
  const options = { threads, cpu: values.cpu, toy: false };
  const results: Record<string, number> = {};
  const about = machine(options);
  console.log(Object.entries(about).map(([key, value]) => `${key} ${value}`).join(' · '));
  const bench = createBench(options, (name, value, unit) => {
    results[name] = value;
    console.log(`${name.padEnd(52)} ${format(value).padStart(12)} ${unit}`);
  });
  for (const name of chosen) {
    await groups[name].run(bench, values.only);
    if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine: about, results }, null, 2)}\n`);
  }
}

function format(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value >= 10 ? value.toFixed(1) : value.toFixed(3);
}
