/** Reading frozen rows: line separators inside a text do not cut it, and a bad line is named. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readExamples } from './read.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-read-'));
const path = join(folder, 'rows.jsonl');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('keeps U+2028 and U+2029 inside a row', async () => {
  const rows = [{ kind: 'text', text: 'a\u2028b\u2029c' }, { kind: 'text', text: 'd' }];
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  expect(await collect(readExamples(path))).toEqual(rows);
});

it('names file, line and field of a row that is not an example', async () => {
  writeFileSync(path, '{"kind":"text","text":"a"}\n{"kind":"text"}\n');
  await expect(collect(readExamples(path))).rejects.toThrow(/rows\.jsonl:2: text: /);
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
