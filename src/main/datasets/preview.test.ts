import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { previewImport } from './preview.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-preview-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}
const jsonl = (rows: object[]) => rows.map((row) => JSON.stringify(row)).join('\n');

test('tells the format, how many rows each format fits, columns, first rows and what is wrong with which line', async () => {
  const path = file('alpaca.train.jsonl', `${jsonl([{ instruction: 'a', context: 'c', response: 'b' }])}\n{broken\n${jsonl([{ instruction: 'x', response: '' }, { instruction: 'y', response: 'z' }])}`);
  const preview = await previewImport({ path });
  expect(preview).toMatchObject({
    format: 'alpaca',
    columns: ['instruction', 'context', 'response'],
    mapping: { instruction: 'instruction', input: 'context', output: 'response' },
    sampledRows: 4,
    suggestedName: 'alpaca',
    suggestedSplit: 'train',
  });
  expect(preview.fits.find(({ format }) => format === 'alpaca')).toMatchObject({ rows: 2, fields: expect.arrayContaining([{ name: 'output', required: true }]) });
  expect(preview.fits.find(({ format }) => format === 'preference')).toMatchObject({ rows: 0 });
  expect(preview.rows.map(({ line, example, problem }) => [line, example?.kind ?? null, problem])).toEqual([
    [1, 'instruction', null],
    [2, null, expect.stringMatching(/^not valid JSON/)],
    [3, null, 'output is empty'],
    [4, 'instruction', null],
  ]);
  expect(preview.rows[0].raw).toBe('{"instruction":"a","context":"c","response":"b"}');
  expect(preview.problems).toMatchObject([{ line: 2, severity: 'skipped' }, { line: 3, severity: 'skipped', reason: 'output is empty' }]);
});

test('the mapping it found reads the same as none, and one by hand reads what nothing fits', async () => {
  const path = file('pairs.jsonl', jsonl([{ instruction: 'ask', input: 'more', chosen: 'yes', rejected: 'no' }]));
  const { mapping, rows, format } = await previewImport({ path });
  expect(format).toBe('preference');
  expect((await previewImport({ path, format: 'preference', mapping })).rows).toEqual(rows);

  const odd = file('odd_test.jsonl', jsonl([{ q: 'ask', a: 'answer' }]));
  const none = await previewImport({ path: odd });
  expect(none).toMatchObject({ format: null, columns: ['q', 'a'], mapping: {}, suggestedName: 'odd', suggestedSplit: 'test' });
  expect(none.rows).toMatchObject([{ example: null, problem: 'no format fits its columns' }]);
  const mapped = await previewImport({ path: odd, mapping: { prompt: 'q', completion: 'a' } });
  expect(mapped).toMatchObject({ format: 'prompt-completion', rows: [{ example: { kind: 'completion', prompt: 'ask', completion: 'answer' } }], problems: [] });
});

test('plain text and packed files are previewed, odd turns warned of, and what is no dataset refused', async () => {
  expect(await previewImport({ path: file('notes.txt', 'one\n\ntwo') })).toMatchObject({ format: 'text', fits: [{ format: 'text', rows: 2 }], columns: [], rows: [{ raw: 'one' }, { line: 3 }] });
  const talk = [{ role: 'assistant', content: 'hi' }];
  const packed = await previewImport({ path: file('talk-validation.jsonl.gz', gzipSync(jsonl([{ messages: talk }]))) });
  expect(packed).toMatchObject({ format: 'messages', suggestedName: 'talk', suggestedSplit: 'validation' });
  expect(packed.problems).toMatchObject([{ line: 1, severity: 'warning', reason: "the first turn is the assistant's" }]);
  await expect(previewImport({ path: join(folder, 'none.jsonl') })).rejects.toThrow(/no such file/);
});

test('only the beginning of a big file is read', async () => {
  const path = file('big.jsonl', `${jsonl([{ text: 'row' }])}\n`.repeat(200_000));
  const times = [];
  for (let i = 0; i < 3; i++) {
    const began = performance.now();
    expect(await previewImport({ path })).toMatchObject({ format: 'text', sampledRows: 500 });
    times.push(performance.now() - began);
  }
  expect(Math.min(...times)).toBeLessThan(1000);
});

test('a table tells its columns, is understood as they are mapped, and says which of its rows has the wrong width', async () => {
  const path = file('chat.csv', 'Q,A,label\n안녕,반가워요,0\n잘 자\n"여러\n줄",네,2\n');
  expect(await previewImport({ path })).toMatchObject({ format: null, columns: ['Q', 'A', 'label'], sampledRows: 3, suggestedName: 'chat' });
  const mapped = await previewImport({ path, format: 'prompt-completion', mapping: { prompt: 'Q', completion: 'A' } });
  expect(mapped.rows.map(({ line, example }) => [line, example])).toEqual([
    [2, { kind: 'completion', prompt: '안녕', completion: '반가워요' }],
    [3, null],
    [4, { kind: 'completion', prompt: '여러\n줄', completion: '네' }],
  ]);
  expect(mapped.problems).toMatchObject([{ line: 3, severity: 'skipped', reason: 'it has 1 cell where the first row names 3 columns: a comma or quote is missing or too many' }]);
});
