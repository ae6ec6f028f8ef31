/**
 * Do other programs read what we export, and see the same model in it? Makes exports through the command line, then asks
 *   llama.cpp     (node-llama-cpp, installed into this folder on the first run): GGUF F32 and Q8_0 of a base and of a model fine-tuned from it
 *   transformers  (Python with fixtures/requirements.txt): the exported folder, the merged folder of a LoRA run, PEFT's adapter on its base
 * and prints one table; exit code 0 only when every line passes.
 *
 *   node bench/peers/run.mjs [MODEL] [--only llamacpp|transformers] [--python PROGRAM]
 *
 * MODEL is a library name or a folder, the embedded base by default. The runs it trains are a few steps in a library of their own, thrown away.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { node24, setup } from '../../scripts/setup.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' }, python: { type: 'string', default: 'python3' } },
});
const base = positionals[0] ?? 'attune-base';
const MAX_TOKENS = 32;
const PROMPTS = [
  'The river', 'A dog is', 'Once upon a time', 'To walk is to', 'The word house means', 'A small child', 'In the morning', 'Water that falls',
  'She said that the', 'An animal with', 'Music is', 'He opened the door and', 'A kind of tree', 'The color of the sky', 'To give something',
  'A place where people', 'The sun', 'One day the king', 'A tool used to', 'Many people think that',
  // enough places that two near-ties do not decide a percentage
  ...('water house music child city road food door friend night horse ship king letter stone tree winter fire garden bread money color paper ' +
    'bird chair doctor window metal cloth storm').split(' ').flatMap((word) => [`The word ${word} means`, `Another word for ${word} is`]),
];
const TEXTS = ['A river is a large natural stream of water.', 'Once upon a time there was a little girl who had a dog.', 'To run: move fast by using one\'s feet; "he ran, 12 times!"'];

const observed = new Map();
const work = mkdtempSync(join(tmpdir(), 'attune-peers-'));
await setup({ quiet: true });
process.env.ATTUNE_HOME = join(work, 'library');
try {
  process.exitCode = main() ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

function main() {
  const rows = [];
  observe(base);
  train('peers-sft', {});
  if (options.only !== 'transformers') {
    installLlamaCpp();
    const cases = [];
    for (const model of [base, 'peers-sft']) {
      const seen = observe(model);
      for (const type of ['f32', 'q8_0']) cases.push({ name: `${nameOf(model)} ${type}`, type, folder: exportTo(model, 'gguf', type), ...seen });
    }
    rows.push(...ask('llama.cpp', process.execPath, [here('check-llamacpp.mjs')], cases));
  }
  if (options.only !== 'llamacpp') {
    train('peers-lora', { lora: { r: 8, loraAlpha: 16 } });
    const lora = observe('peers-lora', 5);
    // the adapter names its base by folder; the exported base stands in for it, so that both halves are ours
    const baseFolder = exportTo(base, 'safetensors', 'f32');
    rows.push(
      ...ask('transformers', options.python, [here('check_transformers.py')], [
        { name: `${nameOf(base)} folder`, folder: baseFolder, ...observe(base) },
        { name: 'peers-sft folder', folder: exportTo('peers-sft', 'safetensors', 'f32'), ...observe('peers-sft') },
        { name: 'peers-lora merged', folder: exportTo('peers-lora', 'safetensors', 'f32'), ...lora },
        { name: 'peers-lora PEFT adapter', folder: baseFolder, adapter: exportTo('peers-lora', 'peft', 'f32'), ...lora },
      ]),
    );
  }
  const table = [['peer', 'export', 'what was compared', 'verdict'], ['---', '---', '---', '---'], ...rows.map((row) => [row.peer, row.name, row.detail, row.pass ? 'pass' : 'FAIL'])];
  for (const row of table) console.log(`| ${row.join(' | ')} |`);
  return rows.every((row) => row.pass);
}

/** A few steps on the fixtures' rows, enough to make a model that is not its base. */
function train(name, fields) {
  const recipe = { method: 'sft', name, model: base, dataset: here('../../fixtures/trl/instructions.jsonl'), template: 'alpaca', maxSteps: 6, maxLength: 128, perDeviceTrainBatchSize: 4, evalRatio: 0, optimizer: { learningRate: 1e-3 }, ...fields };
  const path = join(work, `${name}.json`);
  writeFileSync(path, JSON.stringify(recipe));
  attune(['train', path]);
}

/** What our own engine makes of a model: tokens (they all have the base's tokenizer) and greedy answers of the prompts, log-probs of the texts. */
function observe(model, count = PROMPTS.length) {
  const known = observed.get(model);
  if (known) return known;
  const prompts = PROMPTS.slice(0, count).map((prompt, i) => {
    const ids = observed.get(base)?.prompts[i].ids ?? JSON.parse(attune(['tokenize', model, '--text', prompt, '--json'])).ids;
    const sampled = JSON.parse(attune(['sample', model, '--raw', '--greedy', '--max-tokens', String(MAX_TOKENS), '--prompt', prompt, '--json']));
    return { text: prompt, ids, completion: sampled.ids };
  });
  const texts = TEXTS.map((text) => ({ text, ...JSON.parse(attune(['logprobs', model, '--text', text, '--json'])) }));
  observed.set(model, { prompts, texts });
  return { prompts, texts };
}

function exportTo(model, format, type) {
  const out = join(work, 'exports', `${nameOf(model)}-${format}-${type}`);
  mkdirSync(join(work, 'exports'), { recursive: true });
  if (!existsSync(out)) attune(['export', model, '--format', format, '--type', type, '--out', out]);
  return out;
}

function nameOf(model) {
  return model.replace(/\/+$/, '').split('/').at(-1);
}

function attune(args) {
  const command = ['--disable-warning=ExperimentalWarning', here('../../src/main/cli.ts'), ...args];
  const { status, stdout, stderr } = spawnSync(node24, command, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`attune ${args.join(' ')} ended with ${status}:\n${stderr}`);
  return stdout;
}

/** Hands the cases to a checker as a file and reads its verdicts from another. */
function ask(peer, program, args, cases) {
  const input = join(work, 'cases.json');
  const output = join(work, 'verdicts.json');
  writeFileSync(input, JSON.stringify(cases));
  rmSync(output, { force: true });
  const { status, error } = spawnSync(program, [...args, input, output], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (error || status !== 0) {
    const hint = peer === 'transformers' ? '; it needs Python with fixtures/requirements.txt (--python PROGRAM names another one, --only llamacpp leaves this out)' : '';
    return [{ peer, name: 'all', detail: `${program} ${error ? error.message : `ended with ${status}`}${hint}`, pass: false }];
  }
  return JSON.parse(readFileSync(output, 'utf8')).map((verdict) => ({ peer, ...verdict }));
}

/** No install scripts (they would build or download llama.cpp) and only this machine's prebuilt CPU package. */
function installLlamaCpp() {
  const { dependencies } = JSON.parse(readFileSync(here('package.json'), 'utf8'));
  const version = dependencies['node-llama-cpp'];
  const platform = { 'linux-x64': 'linux-x64', 'linux-arm64': 'linux-arm64', 'darwin-arm64': 'mac-arm64-metal', 'darwin-x64': 'mac-x64', 'win32-x64': 'win-x64', 'win32-arm64': 'win-arm64' }[`${process.platform}-${process.arch}`];
  if (!platform) throw new Error(`node-llama-cpp has no prebuilt package for ${process.platform}-${process.arch}; run with --only transformers`);
  if (existsSync(here(`node_modules/@node-llama-cpp/${platform}/package.json`))) return;
  console.error('installing node-llama-cpp into bench/peers, once');
  const flags = ['--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'];
  for (const args of [['install', ...flags], ['install', ...flags, '--no-save', `@node-llama-cpp/${platform}@${version}`]]) {
    const { status } = spawnSync('npm', args, { cwd: here('.'), stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' });
    if (status !== 0) throw new Error('npm could not install node-llama-cpp into bench/peers');
  }
}
