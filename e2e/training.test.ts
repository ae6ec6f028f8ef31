/** Runs through the command line on the tiny model: trained, stopped, killed, resumed — and always ending with the same bytes. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { alpacaRows, createWorkplace, type Outcome, preferenceRows, ROOT, tinyModel, type Workplace } from './attune.ts';

let place: Workplace;
beforeEach(() => {
  place = createWorkplace();
  tinyModel(place);
  place.write('rows.jsonl', alpacaRows(48));
  place.write('pairs.jsonl', preferenceRows(24));
});
afterEach(() => place.remove());

/** 43 rows to train on (5 of 48 held out), 4 a step: 11 steps an epoch, 44 in all; a checkpoint every 5. */
const sft = (name: string, more: object = {}) => ({
  method: 'sft', name, model: 'tiny', dataset: 'rows.jsonl', template: 'chat', maxLength: 64, numTrainEpochs: 4, perDeviceTrainBatchSize: 4,
  packing: false, evalRatio: 0.1, evalSteps: 20, saveSteps: 5, optimizer: { learningRate: 1e-3 }, ...more,
});
const STEPS = 44;

type Done = { type: 'done'; run: number; name: string; status: string; step: number; checkpoint: string; sha256: string };
const lines = ({ stdout }: Outcome) => stdout.trim().split('\n').map((line) => JSON.parse(line) as { type: string; step?: number; message?: string; values?: Record<string, number> });
const doneOf = (outcome: Outcome) => lines(outcome).at(-1) as unknown as Done;

async function train(recipe: object, args: string[] = []): Promise<Done> {
  const file = place.write('recipe.yaml', recipe);
  const outcome = await place.attune(['train', file, '--json-lines', ...args]);
  expect(outcome.stderr).not.toMatch(/^attune:/m);
  expect(outcome.code).toBe(0);
  return doneOf(outcome);
}

/** Resolves when the run has told of its step `step` or a later one, or has ended. */
function reachStep(child: ReturnType<Workplace['start']>['child'], step: number): Promise<void> {
  return new Promise((resolve) => {
    let text = '';
    child.stdout!.on('data', (chunk: string) => {
      text += chunk;
      const told = [...text.matchAll(/"type":"progress","step":(\d+),/g)].at(-1);
      if (told && Number(told[1]) >= step) resolve();
    });
    child.on('close', () => resolve());
  });
}

test('train tells every step, keeps metrics and checkpoints, and its result is a model of the library', async () => {
  const file = place.write('recipe.yaml', sft('first'));
  const outcome = await place.attune(['train', file, '--json-lines']);
  expect(outcome.code).toBe(0);
  const events = lines(outcome);
  const steps = events.filter(({ type }) => type === 'progress').map(({ step }) => step);
  expect(steps).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
  const done = doneOf(outcome);
  expect(done).toMatchObject({ type: 'done', run: 1, name: 'first', status: 'finished', step: STEPS });
  expect(done.sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(readdirSync(done.checkpoint)).toEqual(expect.arrayContaining(['config.json', 'model.safetensors', 'tokenizer.json', 'optimizer.safetensors']));

  const run = JSON.parse((await place.attune(['runs', 'first', '--json'])).stdout);
  expect(run).toMatchObject({ status: 'finished', step: STEPS, totalSteps: STEPS, seed: 42, error: null });
  expect(run.device).toMatch(/native/);
  expect(run.trainSha256).toMatch(/^[0-9a-f]{64}$/);
  expect(run.metrics).toHaveLength(STEPS);
  const losses = run.metrics.map(({ values }: { values: Record<string, number> }) => values.loss);
  expect(losses.at(-1)).toBeLessThan(losses[0]);
  expect(run.metrics.filter(({ values }: { values: object }) => 'eval_loss' in values).map(({ step }: { step: number }) => step)).toEqual([20, 40, STEPS]);
  const models = JSON.parse((await place.attune(['models', '--json'])).stdout) as { name: string }[];
  expect(models.map(({ name }) => name)).toContain('first');
});

test('the same recipe and seed give the same bytes, with one thread and with two; another seed gives others', async () => {
  const a = await train(sft('a'), ['--threads', '1']);
  const b = await train(sft('b'), ['--threads', '2']);
  const c = await train(sft('c', { seed: 7 }));
  expect(b.sha256).toBe(a.sha256);
  expect(c.sha256).not.toBe(a.sha256);
});

test('a LoRA run and a DPO run on it: adapters on the base, the parent recorded, all three sampled', async () => {
  const lora = { r: 4, loraAlpha: 8, targetModules: ['q_proj', 'v_proj'] };
  const first = await train(sft('adapter', { lora, numTrainEpochs: 1 }));
  expect(readdirSync(first.checkpoint)).toEqual(expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors']));
  await train({ method: 'dpo', name: 'preferred', model: 'adapter', dataset: 'pairs.jsonl', maxLength: 64, maxSteps: 4, perDeviceTrainBatchSize: 4, lora });
  const run = JSON.parse((await place.attune(['runs', 'preferred', '--json'])).stdout);
  expect(run.parentCheckpointId).not.toBeNull();
  expect(run.metrics[0].values).toHaveProperty('rewards/margins');
  for (const model of ['tiny', 'adapter', 'preferred']) {
    const { code, stdout } = await place.attune(['sample', model, '--prompt', 'Say river 1.', '--greedy', '--max-tokens', '5', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).ids.length).toBeLessThanOrEqual(5);
  }
});

test('killed with SIGKILL at random instants and resumed each time, a run ends with the bytes of one never interrupted', async () => {
  const whole = await train(sft('whole'));
  const file = place.write('recipe.yaml', sft('killed'));
  const find = async () => (JSON.parse((await place.attune(['runs', '--json'])).stdout) as { name: string; status: string }[]).find(({ name }) => name === 'killed');
  // the first before there is anything, the others within milliseconds of a step that is drawn from the next stretch of the run
  const steps = [null, ...Array.from({ length: 4 }, (_, i) => Math.floor(((i + Math.random()) / 4) * STEPS))];
  let kills = 0;
  for (const step of steps) {
    const { child, outcome } = place.start([...((await find()) ? ['resume', 'killed'] : ['train', file]), '--json-lines']);
    if (step !== null) await reachStep(child, step);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    child.kill('SIGKILL');
    const { signal, code } = await outcome;
    if (signal === 'SIGKILL') kills++;
    else expect(code).toBe(0);
    const { status } = (await find()) ?? {};
    if (status === 'finished') break; // the kill came between its last step and its end
    if (step !== null) expect(status).toBe('interrupted');
  }
  expect(kills).toBeGreaterThan(0);
  if ((await find())!.status !== 'finished') expect((await place.attune(['resume', 'killed'])).code).toBe(0);
  const run = JSON.parse((await place.attune(['runs', 'killed', '--json'])).stdout);
  expect(run.checkpoints.at(-1)).toMatchObject({ step: STEPS, sha256: whole.sha256 });
  const metrics = async (name: string) => JSON.parse((await place.attune(['runs', name, '--json'])).stdout).metrics as unknown[];
  expect(await metrics('killed')).toEqual(await metrics('whole'));
});

test('Ctrl-C stops after the step under way and keeps it; resume ends with the same bytes', async () => {
  const long = { numTrainEpochs: 20 }; // so that the signal surely comes before the end
  const whole = await train(sft('whole', long));
  const { child, outcome } = place.start(['train', place.write('recipe.yaml', sft('stopped', long)), '--json-lines']);
  await reachStep(child, 7);
  child.kill('SIGINT');
  const stopped = await outcome;
  expect(stopped.code).toBe(130);
  expect(stopped.stderr).toMatch(/attune resume stopped goes on/);
  const done = doneOf(stopped);
  expect(done).toMatchObject({ status: 'stopped' });
  expect(done.step).toBeGreaterThanOrEqual(7);
  expect(done.step).toBeLessThan(5 * STEPS);
  expect(existsSync(done.checkpoint)).toBe(true);
  const resumed = await place.attune(['resume', 'stopped', '--json-lines']);
  expect(resumed.code).toBe(0);
  expect(doneOf(resumed)).toMatchObject({ status: 'finished', step: 5 * STEPS, sha256: whole.sha256 });
  const again = await place.attune(['resume', 'stopped']);
  expect(again).toMatchObject({ code: 2, stderr: 'attune: stopped: the run is finished; there is nothing to resume\n' });
});

test('a run that lacks memory fails in a sentence, and what would fit is told: taken, it ends', async () => {
  const limited = (name: string, recipe: object) => {
    const file = place.write(`${name}.yaml`, recipe);
    const args = ['--data=1000000000', process.execPath, '--disable-warning=ExperimentalWarning', join(ROOT, 'src', 'main', 'cli.ts'), 'train', file];
    return spawnSync('prlimit', args, { cwd: place.folder, env: { ...process.env, ATTUNE_HOME: place.library, NO_COLOR: '1' }, encoding: 'utf8' });
  };
  if (process.platform !== 'linux' || spawnSync('prlimit', ['--version']).error) return console.log('skipped: there is no prlimit here to take memory away');
  const long = Array.from({ length: 100 }, (_, i) => JSON.stringify({ instruction: `Say ${'river '.repeat(60)}${i}`, output: 'stone '.repeat(120) }));
  place.write('long.jsonl', `${long.join('\n')}\n`);
  const recipe = { method: 'sft', name: 'large', model: 'attune-base', dataset: 'long.jsonl', maxLength: 256, perDeviceTrainBatchSize: 96, maxSteps: 1, evalRatio: 0, evalSamples: 0 };
  const large = limited('large', recipe);
  expect(large.status).toBe(1);
  expect(large.stderr).toMatch(/^attune: .*out of memory/m);
  const told = [...large.stderr.matchAll(/^ {2}(\w.*) {2}\(about (\d+) MB\)$/gm)].map(([, changes, megabytes]) => ({ changes, megabytes: Number(megabytes) }));
  expect(told.length, large.stderr).toBeGreaterThan(0);
  const least = told.reduce((a, b) => (b.megabytes < a.megabytes ? b : a)); // what Node itself takes of the limit is nobody's to know
  const changes = Object.fromEntries(least.changes.split(', ').map((change) => [change.split(': ')[0], JSON.parse(change.split(': ')[1])]));
  const small = limited('small', { ...recipe, name: 'small', ...changes });
  expect(small.status, small.stderr).toBe(0);
});

test('an engine that is killed is told by its signal and the run can be resumed; a killed command takes its engine along', async () => {
  const recipe = place.write('recipe.yaml', sft('crash', { numTrainEpochs: 200 }));
  const engineOf = (pid: number) => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
  const alive = (pid: number) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (!existsSync(`/proc/${process.pid}/task/${process.pid}/children`)) return console.log('skipped: this system has no /proc/PID/task/TID/children');

  const first = place.start(['train', recipe, '--json-lines']);
  await reachStep(first.child, 6);
  process.kill(engineOf(first.child.pid!), 'SIGKILL');
  const crashed = await first.outcome;
  expect(crashed.code).toBe(1);
  expect(crashed.stderr).toMatch(/attune: the engine process was killed by SIGKILL/);
  expect(JSON.parse((await place.attune(['runs', 'crash', '--json'])).stdout)).toMatchObject({
    status: 'interrupted', error: 'the engine process was killed by SIGKILL',
  });

  const second = place.start(['resume', 'crash', '--json-lines']);
  await reachStep(second.child, 12);
  const engine = engineOf(second.child.pid!);
  expect(alive(engine)).toBe(true);
  second.child.kill('SIGKILL');
  await second.outcome;
  while (alive(engine)) await new Promise((resolve) => setTimeout(resolve, 50));
});

test('rows that change after the run began are noticed: it is not resumed on other data', async () => {
  const { child, outcome } = place.start(['train', place.write('recipe.yaml', sft('changed', { numTrainEpochs: 400 })), '--json-lines']);
  await reachStep(child, 3);
  child.kill('SIGINT');
  await outcome;
  const rows = join(place.library, 'runs', '1', 'train.jsonl');
  const { writeFileSync } = await import('node:fs');
  writeFileSync(rows, readFileSync(rows, 'utf8').replace('river', 'RIVER'));
  const { code, stderr } = await place.attune(['resume', 'changed']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/train\.jsonl: the rows this run trains on were changed; start it anew/);
});

test('two runs of one recipe at the same time get names of their own and the same bytes', async () => {
  const file = place.write('recipe.yaml', sft('twin', { numTrainEpochs: 1 }));
  const outcomes = await Promise.all([1, 2].map(() => place.attune(['train', file, '--json-lines', '--threads', '1'])));
  expect(outcomes.map(({ code, stderr }) => ({ code, error: code === 0 ? '' : stderr }))).toEqual([0, 0].map((code) => ({ code, error: '' })));
  const done = outcomes.map(doneOf);
  expect(done.map(({ name }) => name).sort()).toEqual(['twin', 'twin-2']);
  expect(done[0].sha256).toBe(done[1].sha256);
});
