/**
 * Does lm-eval, asking `attune serve` as its `local-completions` client, find the perplexity that Attune finds itself? Serves a model on the loopback,
 * has lm-eval (Python with lm-eval 0.4) measure texts of the embedded data, and holds each text's log-likelihood against `attune logprobs`.
 * Prints one line; exit code 0 only when they agree.
 *
 *   node bench/peers/lm-eval.mjs [MODEL] [--python PROGRAM] [--texts N]
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { node24, setup } from '../../scripts/setup.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { python: { type: 'string', default: 'python3' }, texts: { type: 'string', default: '20' } },
});
const model = positionals[0] ?? 'attune-base';
/** Nats, of a whole text: what sums of f32 log-probs differ by. */
const TOLERANCE = 1e-3;
const CLI = ['--disable-warning=ExperimentalWarning', here('../../src/main/cli.ts')];
const TOKEN = 'lm-eval-check';

await setup({ quiet: true });
const work = mkdtempSync(join(tmpdir(), 'attune-lm-eval-'));
process.env.ATTUNE_HOME = join(work, 'library');
try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function main() {
  const rows = readFileSync(here('../../resources/datasets/instructions.validation.jsonl'), 'utf8').trim().split('\n').slice(0, Number(options.texts));
  const texts = rows.map((row) => JSON.parse(row)).map(({ instruction, output }) => `${instruction}\n${output}`);
  const file = join(work, 'texts.jsonl');
  writeFileSync(file, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
  const folder = JSON.parse(attune(['models', '--json'])).find(({ name }) => name === model)?.path.folder ?? model;
  const { bos_token: bos, eos_token: eos } = JSON.parse(readFileSync(join(folder, 'tokenizer_config.json'), 'utf8'));
  const first = [bos, eos].map((token) => token?.content ?? token).find(Boolean); // lm-eval puts it before every text
  const own = texts.map((text) => JSON.parse(attune(['logprobs', model, '--text', first + text, '--json'])).logprobs.slice(1).reduce((sum, x) => sum + x, 0));

  const server = spawn(node24, [...CLI, 'serve', model, '--port', '0', '--token', TOKEN], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [url] = String(await new Promise((resolve, reject) => server.stdout.once('data', resolve).once('end', () => reject(new Error('attune serve did not start'))))).split('\n');
    const asked = JSON.stringify({ url, token: TOKEN, model, tokenizer: folder, texts: file });
    const { status, stdout, stderr, error } = spawnSync(options.python, [here('check_lm_eval.py')], { input: asked, encoding: 'utf8' });
    if (status !== 0) throw new Error(`lm-eval could not be asked: ${error?.message ?? stderr.trim().split('\n').at(-1)}`);
    const found = JSON.parse(stdout.trim().split('\n').at(-1));
    const words = texts.reduce((sum, text) => sum + text.split(/\s+/).length, 0);
    const perplexity = Math.exp(-own.reduce((sum, x) => sum + x, 0) / words);
    const difference = Math.max(...own.map((x, i) => Math.abs(x - found.loglikelihoods[i])));
    const agrees = difference <= TOLERANCE;
    console.log(
      `| lm-eval ${found.version} | ${model} served | word perplexity of ${texts.length} texts ${found.word_perplexity.toFixed(4)}, own ${perplexity.toFixed(4)}; ` +
        `log-likelihoods within ${difference.toExponential(1)} nats | ${agrees ? 'pass' : 'FAIL'} |`,
    );
    return agrees;
  } finally {
    server.kill();
  }
}

function attune(args) {
  const { status, stdout, stderr } = spawnSync(node24, [...CLI, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr.trim());
  return stdout;
}
