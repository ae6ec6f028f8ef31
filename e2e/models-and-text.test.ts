/** Sampling, looking at text, comparing and exporting through the command line, on the tiny model; and that nothing leaves the machine. */
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { alpacaRows, createWorkplace, preferenceRows, ROOT, tinyModel, type Workplace } from './attune.ts';

let place: Workplace;
beforeAll(() => {
  place = createWorkplace();
  tinyModel(place);
  place.write('rows.jsonl', alpacaRows(20));
  place.write('pairs.jsonl', preferenceRows(12));
  place.write('prompts.txt', 'Say river.\nSay stone.\n');
});
afterAll(() => place.remove());
const json = async (args: string[]) => {
  const { code, stdout, stderr } = await place.attune(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
};

test('sample writes the text and nothing else; --json has the same text with ids and log-probabilities', async () => {
  const args = ['sample', 'tiny', '--prompt', 'Say river.', '--max-tokens', '12', '--seed', '3'];
  const plain = await place.attune(args);
  expect({ code: plain.code, stderr: plain.stderr }).toEqual({ code: 0, stderr: '' });
  const told = await json([...args, '--json']);
  expect(plain.stdout).toBe(told.text.endsWith('\n') ? told.text : `${told.text}\n`);
  expect(told.logprobs).toHaveLength(told.ids.length);
  expect(Math.max(...told.logprobs)).toBeLessThanOrEqual(0);
  expect((await place.attune(args)).stdout).toBe(plain.stdout); // same seed, same text
  expect((await place.attune([...args.slice(0, -1), '4'])).stdout).not.toBe(plain.stdout);
});

test('raw and templated prompts are different prompts', async () => {
  const ids = async (extra: string[]) => (await json(['sample', 'tiny', '--prompt', 'Say river.', '--greedy', '--max-tokens', '8', '--json', ...extra])).ids;
  expect(await ids(['--raw'])).not.toEqual(await ids([]));
});

test('sample --choices, --regex, --schema and --grammar write what was asked for; a schema that cannot be enforced ends with 3 and its name', async () => {
  const written = async (...args: string[]) => {
    const { code, stdout, stderr } = await place.attune(['sample', 'tiny', '--prompt', 'Say river.', '--max-tokens', '40', '--seed', '3', ...args]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return stdout.trimEnd();
  };
  expect(['yes', 'no', 'perhaps']).toContain(await written('--choices', 'yes,no,perhaps'));
  expect(await written('--regex', '[A-Z][a-z]{2,9}')).toMatch(/^[A-Z][a-z]{2,9}$/);
  const schema = place.write('cat.json', JSON.stringify({ type: 'object', required: ['legs'], properties: { legs: { type: 'integer', minimum: 0, maximum: 8 } }, additionalProperties: false }));
  const { legs } = JSON.parse(await written('--schema', schema)) as { legs: number };
  expect(Number.isInteger(legs) && legs >= 0 && legs <= 8).toBe(true);
  expect(await written('--grammar', place.write('list.gbnf', 'root ::= item ("," item){1,3}\nitem ::= [0-9]{1,2}\n'))).toMatch(/^\d{1,2}(,\d{1,2}){1,3}$/);
  expect(await written('--choices', 'yes,no', '--after', '.')).toMatch(/\.(yes|no)$/);
  expect(await written('--regex', '[ab]{2}( [ab]{2})+', '--num-beams', '3', '--stop', ' ab')).toMatch(/^[ab]{2}( [ab]{2})+$/);
  const told = await json(['sample', 'tiny', '--prompt', 'Say river.', '--choices', 'yes,no', '--json']);
  expect(told).toMatchObject({ validity: { valid: true, reason: null }, finishReason: 'eos' });

  const refused = await place.attune(['sample', 'tiny', '--prompt', 'x', '--schema', place.write('unique.json', JSON.stringify({ properties: { tags: { type: 'array', uniqueItems: true } } }))]);
  expect(refused).toMatchObject({ code: 3, stdout: '' });
  expect(refused.stderr).toMatch(/^attune: uniqueItems at #\/properties\/tags\/uniqueItems: .+\n$/);
  const both = await place.attune(['sample', 'tiny', '--prompt', 'x', '--choices', 'a,b', '--regex', 'a']);
  expect(both.code).toBe(2);
});

test('sample --best-of with no answer that was asked for says why, prints nothing and ends with 1', async () => {
  place.write('long.json', JSON.stringify({ type: 'object', required: ['name'], properties: { name: { type: 'string', minLength: 200 } } }));
  const { code, stdout, stderr } = await place.attune(['sample', 'tiny', '--prompt', 'Say river.', '--schema', 'long.json', '--repair', '--max-tokens', '5', '--best-of', '2']);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/attune: no answer is what was asked for: /);
});

test('sample fills a prompt, keeps it as a template with its examples, and takes it up again; a preset keeps what the answer must be', async () => {
  place.write('shown.jsonl', `${JSON.stringify({ instruction: 'Say moss.', output: 'Moss.' })}\n`);
  const sample = (...args: string[]) => place.attune(['sample', 'tiny', '--max-tokens', '6', '--json', ...args]);
  const made = await sample('--prompt', 'Say {{what}}.', '--examples', 'shown.jsonl', '--save-prompt', 'say', '--var', 'what=river');
  expect(made).toMatchObject({ code: 0, stderr: '' });
  const used = await sample('--prompt-template', 'say', '--var', 'what=river');
  expect(used.stdout).toBe(made.stdout);
  expect(JSON.parse(used.stdout)).toMatchObject({ prompt: 'Say river.' });
  expect(JSON.parse((await sample('--prompt', 'Say river.')).stdout).logprobs).not.toEqual(JSON.parse(used.stdout).logprobs); // the examples count
  expect(await sample('--prompt-template', 'say')).toMatchObject({ code: 2, stderr: expect.stringContaining('give --var what=TEXT') });
  expect(await sample('--prompt-template', 'say', '--var', 'what=x', '--var', 'who=y')).toMatchObject({ code: 2, stderr: expect.stringContaining('no {{who}}: it has what') });
  expect(await sample('--prompt-template', 'no')).toMatchObject({ code: 2, stderr: expect.stringContaining('there are say') });
  place.write('half.jsonl', '{"prompt":"Say moss."}\n');
  expect(await sample('--prompt', 'x', '--examples', 'half.jsonl')).toMatchObject({ code: 2, stderr: expect.stringContaining('half.jsonl: example 1: expected one prompt and its answer') });
  expect(await sample('--prompt', 'Cold?', '--choices', 'yes,no', '--save-preset', 'yes or no')).toMatchObject({ code: 0 });
  expect(JSON.parse((await sample('--prompt', 'Warm?', '--preset', 'yes or no')).stdout).text).toMatch(/^(yes|no)$/);
});

test('tokenize and logprobs agree on the tokens, and the first token has no log-probability', async () => {
  const tokens = await json(['tokenize', 'tiny', '--text', 'Say river.', '--json']);
  const logprobs = await json(['logprobs', 'tiny', '--text', 'Say river.', '--json']);
  expect(logprobs.ids).toEqual(tokens.ids);
  expect(logprobs.tokens).toEqual(tokens.tokens);
  expect(logprobs.logprobs[0]).toBeNull();
  expect(logprobs.logprobs.slice(1).every((value: number) => value < 0)).toBe(true);
  const { stdout } = await place.attune(['logprobs', 'tiny', '--against', 'tiny', '--text', 'Say river.']);
  expect(stdout).toMatch(/KL 0\.0000 nats a token; another likeliest token at 0 of \d+/);
});

test('chat answers each line of a pipe and remembers the turns before', async () => {
  const { code, stdout, stderr } = await place.attune(['chat', 'tiny', '--greedy', '--max-tokens', '5'], { input: 'Say river.\nSay river.\n' });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const once = await place.attune(['sample', 'tiny', '--prompt', 'Say river.', '--greedy', '--max-tokens', '5']);
  expect(stdout.startsWith(once.stdout)).toBe(true);
});

test('show marks the answer and the token that ends it, and nothing of the prompt', async () => {
  const [shown] = await json(['show', 'tiny', 'rows.jsonl', '--limit', '1', '--json']);
  const trained = shown.pieces.filter(({ loss }: { loss: boolean }) => loss).map(({ text }: { text: string }) => text).join('');
  expect(trained).toMatch(/^river 0<\|im_end\|>\s?$/); // alpacaRows: the first row's answer, and ChatML's end of turn
  const plain = await place.attune(['show', 'tiny', 'rows.jsonl', '--limit', '1']);
  expect(plain.stdout).toMatch(/⟦river 0/);
});

test('compare sets two models side by side on every prompt', async () => {
  const result = await json(['compare', 'tiny', 'tiny', '--prompts', 'prompts.txt', '--max-tokens', '6', '--json']);
  expect(result.rows.map(({ prompt }: { prompt: string }) => prompt)).toEqual(['Say river.', 'Say stone.']);
  expect(result.judged).toMatchObject({ a: 0, tie: 2, b: 0 });
  for (const { a, b } of result.rows) {
    expect(a).toEqual(b); // the same model, greedy
    expect(a.tokens).toBeLessThanOrEqual(6);
    expect(a.logprob).toBeLessThan(0);
  }
});

test('evaluate gives loss and perplexity that belong together, and preference accuracy as a share', async () => {
  const result = await json(['evaluate', 'tiny', '--instructions', 'rows.jsonl', '--preferences', 'pairs.jsonl', '--json']);
  expect(result.instructions).toMatchObject({ rows: 20 });
  expect(result.instructions.perplexity).toBeCloseTo(Math.exp(result.instructions.loss), 6);
  expect(result.preferences.pairs).toBe(12);
  expect(result.preferences.accuracy * 12).toBeCloseTo(Math.round(result.preferences.accuracy * 12), 9);
});

test('export writes a folder that samples like the model it came from, and a GGUF file; a full folder needs --force', async () => {
  const out = await place.attune(['export', 'tiny', '--format', 'safetensors', '--out', 'exported']);
  expect(out.code).toBe(0);
  expect(out.stdout.trim()).toBe(join(place.folder, 'exported'));
  const answer = (model: string) => json(['sample', model, '--prompt', 'Say river.', '--greedy', '--max-tokens', '8', '--json']);
  expect((await answer('exported')).logprobs).toEqual((await answer('tiny')).logprobs);
  const again = await place.attune(['export', 'tiny', '--format', 'safetensors', '--out', 'exported']);
  expect(again).toMatchObject({ code: 2, stderr: 'attune: exported: the folder is not empty; name another one, or write into it with --force\n' });
  expect((await place.attune(['export', 'tiny', '--format', 'safetensors', '--out', 'exported', '--force'])).code).toBe(0);

  expect((await place.attune(['export', 'tiny', '--format', 'gguf', '--type', 'f16', '--out', 'gguf'])).code).toBe(0);
  const [file] = readdirSync(join(place.folder, 'gguf')).filter((name) => name.endsWith('.gguf'));
  expect(readFileSync(join(place.folder, 'gguf', file)).subarray(0, 4).toString()).toBe('GGUF');
  expect((await place.attune(['export', 'tiny', '--format', 'peft', '--out', 'peft'])).code).toBe(2);
  expect(existsSync(join(place.folder, 'peft'))).toBe(false);
});

test('a damaged model gets one sentence with its file, ends with 1, and exports nothing', async () => {
  const { cpSync } = await import('node:fs');
  cpSync(join(place.folder, 'tiny'), join(place.folder, 'cut'), { recursive: true });
  truncateSync(join(place.folder, 'cut', 'model.safetensors'), 50_000);
  const { code, stderr } = await place.attune(['export', 'cut', '--format', 'safetensors', '--out', 'from-cut']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^attune: .*model\.safetensors.*\n$/);
  expect(existsSync(join(place.folder, 'from-cut'))).toBe(false);

  mkdirSync(join(place.folder, 'keyless'), { recursive: true });
  cpSync(join(place.folder, 'tiny'), join(place.folder, 'keyless'), { recursive: true });
  const { hidden_size: _, ...config } = JSON.parse(readFileSync(join(place.folder, 'tiny', 'config.json'), 'utf8'));
  writeFileSync(join(place.folder, 'keyless', 'config.json'), JSON.stringify(config));
  const keyless = await place.attune(['logprobs', 'keyless', '--text', 'Say', '--json']);
  expect(keyless).toMatchObject({ code: 1, stdout: '' });
  expect(keyless.stderr).toMatch(/^attune: .*hidden_size.*\n$/);
});

test('no command opens a connection, nor asks a name server, in the command or in its engine', async () => {
  const log = join(place.folder, 'network.log');
  const env = { NODE_OPTIONS: `--import ${pathToFileURL(join(ROOT, 'e2e', 'no-network.mjs')).href}`, NETWORK_LOG: log };
  place.write('quick.yaml', { method: 'sft', name: 'quick', model: 'tiny', dataset: 'rows.jsonl', maxLength: 64, maxSteps: 2 });
  const commands = [
    ['import', 'rows.jsonl'], ['datasets'], ['show', 'tiny', 'rows'], ['train', 'quick.yaml'], ['runs'], ['models'],
    ['sample', 'quick', '--prompt', 'x', '--max-tokens', '2'], ['chat', 'tiny', '--max-tokens', '2'],
    ['compare', 'tiny', 'quick', '--prompts', 'prompts.txt', '--max-tokens', '2'], ['evaluate', 'quick', '--instructions', 'rows'],
    ['logprobs', 'tiny', '--text', 'x'], ['tokenize', 'tiny', '--text', 'x'], ['export', 'quick', '--format', 'gguf', '--out', 'offline'],
  ];
  for (const args of commands) {
    const { code, stderr } = await place.attune(args, { env, input: 'hello\n' });
    expect(code, `${args.join(' ')}: ${stderr}`).toBe(0);
  }
  const logged = readFileSync(log, 'utf8').trim().split('\n');
  expect(logged.filter((line) => line.startsWith('attempt'))).toEqual([]);
  // the watch was on in every command and in every engine it started
  expect(logged.filter((line) => line.endsWith('cli.ts'))).toHaveLength(commands.length);
  expect(logged.filter((line) => /engine.index\.ts$/.test(line)).length).toBeGreaterThanOrEqual(10);
});

test('the watch of the test above does see a connection', async () => {
  const log = join(place.folder, 'watch.log');
  const { spawnSync } = await import('node:child_process');
  const tries = [
    "import('node:net').then(({ connect }) => connect(80, '192.0.2.1'))",
    "import('node:http').then(({ get }) => get('http://192.0.2.1/'))",
    "import('node:dns').then(({ lookup }) => lookup('example.invalid', () => {}))",
    "fetch('http://192.0.2.1/')",
  ];
  for (const code of tries) {
    const preload = pathToFileURL(join(ROOT, 'e2e', 'no-network.mjs')).href;
    spawnSync(process.execPath, ['--import', preload, '-e', code], { env: { ...process.env, NETWORK_LOG: log }, timeout: 10_000 });
  }
  expect(readFileSync(log, 'utf8').split('\n').filter((line) => line.startsWith('attempt'))).toHaveLength(tries.length);
});
