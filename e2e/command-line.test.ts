/** The command line without an engine: help, exit codes, import, the library under two processes. */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { alpacaRows, createWorkplace, preferenceRows, type Workplace } from './attune.ts';

let place: Workplace;
beforeEach(() => {
  place = createWorkplace();
});
afterEach(() => place.remove());

test('--help names every command and ends with 0; every command has help with an example or an explanation', async () => {
  const help = await place.attune(['--help']);
  expect(help.code).toBe(0);
  for (const command of ['import', 'datasets', 'show', 'train', 'resume', 'runs', 'sample', 'chat', 'compare', 'evaluate', 'logprobs', 'tokenize', 'models', 'export', 'judge', 'report', 'inspect']) {
    expect(help.stdout).toContain(`\n  ${command} `);
  }
  const train = await place.attune(['train', '--help']);
  expect(train.stdout).toMatch(/learningRate +0\.00002 +peak learning rate/);
  expect(train.stdout).toMatch(/beta +0\.1 +strength of the pull/);
});

test('wrong usage ends with 2 and says what was wrong', async () => {
  for (const args of [['bogus'], ['sample'], ['sample', 'm', '--prompt', 'x', '--top-k', 'many'], ['export', 'm', '--format', 'zip', '--out', 'x']]) {
    const { code, stderr, stdout } = await place.attune(args);
    expect(code, args.join(' ')).toBe(2);
    expect(stderr).toMatch(/^error: /m);
    expect(stdout).toBe('');
  }
  const range = await place.attune(['sample', 'm', '--prompt', 'x', '--top-p', '2']);
  expect(range).toMatchObject({ code: 2, stderr: 'attune: --top-p: expected a number ≤ 1, got 2\n' });
});

test('a recipe with a fault ends with 2 and one sentence that names file and field', async () => {
  place.write('bad.yaml', { method: 'sft', model: 'm', dataset: 'd', optimizer: { learningRate: -1 } });
  const { code, stderr } = await place.attune(['train', 'bad.yaml']);
  expect({ code, stderr }).toEqual({ code: 2, stderr: 'attune: bad.yaml: optimizer.learningRate: expected a number > 0, got -1\n' });
});

test('a recipe that names an unknown model or dataset ends with 2, names it, and leaves no run behind', async () => {
  place.write('rows.jsonl', alpacaRows(3));
  place.write('a.yaml', { method: 'sft', model: 'nobody', dataset: 'rows.jsonl' });
  const unknown = await place.attune(['train', 'a.yaml']);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toMatch(/^attune: nobody: no model of that name in the library and no such folder/);
  mkdirSync(join(place.folder, 'model'));
  writeFileSync(join(place.folder, 'model', 'config.json'), '{}');
  place.write('b.yaml', { method: 'sft', model: 'model', dataset: 'nothing.jsonl' });
  expect((await place.attune(['train', 'b.yaml'])).stderr).toMatch(/^attune: nothing\.jsonl: no dataset of that name/);
  expect(JSON.parse((await place.attune(['runs', '--json'])).stdout)).toEqual([]);
});

test('import takes the good rows, tells each bad one with file, line and reason, and counts', async () => {
  const rows = alpacaRows(5).trim().split('\n');
  rows.splice(2, 0, '{"instruction": "broken"');
  rows.push('{"instruction": "no output"}');
  const file = place.write('rows.jsonl', rows.join('\n'));
  const { code, stdout, stderr } = await place.attune(['import', 'rows.jsonl', '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ name: 'rows', split: 'train', format: 'alpaca', rows: 5, skipped: 2 });
  expect(stderr).toMatch(new RegExp(`^${file}:3: left out: .+$`, 'm'));
  expect(stderr).toMatch(new RegExp(`^${file}:7: left out: .*output.*$`, 'm'));
  const kept = JSON.parse((await place.attune(['datasets', 'rows', '--json'])).stdout);
  expect(kept.files[0].problems.map(({ line }: { line: number }) => line)).toEqual([3, 7]);
});

test('a file of which no row can be read is not imported and leaves nothing', async () => {
  place.write('junk.jsonl', 'not json\nneither\n');
  place.write('empty.jsonl', '{"instruction":"a","output":""}\n{"instruction":"b","output":" "}\n');
  for (const [file, sentence] of [
    ['junk.jsonl', /attune: .*junk\.jsonl: not alpaca \(instruction and output\): none of its first rows is a JSON object/],
    ['empty.jsonl', /attune: empty\.jsonl: nothing was imported: none of its 2 rows could be read as alpaca/],
  ] as const) {
    const { code, stderr } = await place.attune(['import', file, '--format', 'alpaca']);
    expect(code).toBe(2);
    expect(stderr).toMatch(sentence);
  }
  expect(JSON.parse((await place.attune(['datasets', '--json'])).stdout)).toEqual([]);
});

test('a split is not silently doubled: the second import of it is refused with the way out', async () => {
  place.write('rows.jsonl', alpacaRows(4));
  expect((await place.attune(['import', 'rows.jsonl'])).code).toBe(0);
  const again = await place.attune(['import', 'rows.jsonl']);
  expect(again.code).toBe(2);
  expect(again.stderr).toMatch(/dataset rows has a train split already, 4 rows .* choose another --name or --split/);
  expect((await place.attune(['import', 'rows.jsonl', '--name', 'rows', '--split', 'test'])).code).toBe(0);
  expect((await place.attune(['datasets', '--delete', 'rows'])).code).toBe(0);
  expect(JSON.parse((await place.attune(['datasets', '--json'])).stdout)).toEqual([]);
});

test('processes that import into one new library at the same time all succeed, and no row is lost', async () => {
  place.write('rows.jsonl', alpacaRows(6000));
  place.write('pairs.jsonl', preferenceRows(6000));
  const imports = ['a', 'b', 'c', 'd'].map((name, i) => place.attune(['import', i % 2 ? 'pairs.jsonl' : 'rows.jsonl', '--name', name]));
  for (const { code, stderr } of await Promise.all(imports)) expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const datasets = JSON.parse((await place.attune(['datasets', '--json'])).stdout) as { name: string; files: { rows: number; kinds: object }[] }[];
  expect(datasets.map(({ name, files }) => [name, files[0].rows, files[0].kinds])).toEqual([
    ['a', 6000, { instruction: 6000 }],
    ['b', 6000, { preference: 6000 }],
    ['c', 6000, { instruction: 6000 }],
    ['d', 6000, { preference: 6000 }],
  ]);
});

test('of two processes that import the same name one wins and the other is told', async () => {
  place.write('rows.jsonl', alpacaRows(3000));
  const outcomes = await Promise.all([1, 2].map(() => place.attune(['import', 'rows.jsonl'])));
  expect(outcomes.map(({ code }) => code).sort()).toEqual([0, 2]);
  expect(outcomes.find(({ code }) => code === 2)!.stderr).toMatch(/another process is importing its train split|has a train split already/);
});

test('an import that is killed leaves nothing, and the name is free again', async () => {
  place.write('rows.jsonl', alpacaRows(200_000));
  const { child, outcome } = place.start(['import', 'rows.jsonl']);
  const wal = join(place.library, 'library.db-wal'); // where rows land first
  while ((statSync(wal, { throwIfNoEntry: false })?.size ?? 0) < 500_000) await new Promise((resolve) => setTimeout(resolve, 10));
  child.kill('SIGKILL');
  expect((await outcome).signal).toBe('SIGKILL');
  expect(JSON.parse((await place.attune(['datasets', '--json'])).stdout)).toEqual([]);
  place.write('rows.jsonl', alpacaRows(10));
  expect((await place.attune(['import', 'rows.jsonl'])).code).toBe(0);
});

test('memory stays flat: rows of four times the allowed heap are imported', async () => {
  // 40,000 rows of about 4.8 kB are 190 MB; the heap may have 48 MB
  const output = 'word '.repeat(960);
  const rows = Array.from({ length: 40_000 }, (_, i) => JSON.stringify({ instruction: `Say ${i}.`, input: '', output }));
  place.write('large.jsonl', rows.join('\n'));
  const { code, stderr, stdout } = await place.attune(['import', 'large.jsonl', '--json'], { env: { NODE_OPTIONS: '--max-old-space-size=48' } });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({ rows: 40_000, skipped: 0 });
});

test('models: a folder gets a name once, is listed, and what is no model is refused', async () => {
  mkdirSync(join(place.folder, 'mine'));
  const bare = await place.attune(['models', 'add', 'mine']);
  expect(bare).toMatchObject({ code: 2 });
  expect(bare.stderr).toMatch(/mine: not a model: neither config\.json nor adapter_config\.json is in it/);
  writeFileSync(join(place.folder, 'mine', 'config.json'), '{}');
  expect((await place.attune(['models', 'add', 'mine', '--name', 'my-model'])).code).toBe(0);
  const listed = JSON.parse((await place.attune(['models', '--json'])).stdout) as { name: string; kind: string }[];
  expect(listed.filter(({ kind }) => kind === 'added').map(({ name }) => name)).toEqual(['my-model']);
  expect((await place.attune(['models', 'add', 'mine', '--name', 'my-model'])).code).toBe(2);
  expect((await place.attune(['models', 'remove', 'my-model'])).code).toBe(0);
});
