import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import type { DatasetFormat, Example, RowProblem } from '../../shared/dataset.ts';
import { detectFormat, readDataset } from './import.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-import-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function read(path: string, format?: DatasetFormat) {
  const examples: Example[] = [];
  const lines: number[] = [];
  const problems: RowProblem[] = [];
  for await (const row of readDataset(path, { format })) {
    if ('problem' in row) problems.push(row.problem);
    else {
      examples.push(row.example);
      lines.push(row.line);
    }
  }
  return { examples, lines, problems: problems.map(({ line, severity, reason }) => `${line} ${severity}: ${reason}`) };
}

/** One row through detection and conversion. */
async function readRow(row: object) {
  const path = file('row.jsonl', JSON.stringify(row));
  return { format: await detectFormat(path), ...(await read(path)) };
}

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

describe('formats', () => {
  it('reads Alpaca rows, with history and system as a conversation', async () => {
    expect(await readRow({ instruction: 'Add.', input: '1 2', output: '3' })).toMatchObject({
      format: 'alpaca',
      examples: [{ kind: 'instruction', instruction: 'Add.', input: '1 2', output: '3' }],
    });
    const { examples } = await readRow({ instruction: 'And 2?', output: 'two', system: 'Count.', history: [['1?', 'one']] });
    expect(examples).toEqual([
      { kind: 'conversation', messages: [{ role: 'system', content: 'Count.' }, user('1?'), assistant('one'), user('And 2?'), assistant('two')] },
    ]);
  });

  it('reads prompt and completion, as strings or as messages', async () => {
    expect(await readRow({ prompt: 'a', completion: 'b' })).toMatchObject({
      format: 'prompt-completion',
      examples: [{ kind: 'completion', prompt: 'a', completion: 'b' }],
    });
    expect((await readRow({ prompt: [user('a')], completion: [assistant('b')] })).examples).toEqual([
      { kind: 'conversation', messages: [user('a'), assistant('b')] },
    ]);
  });

  it('reads messages, with text parts, and ShareGPT, with tools', async () => {
    expect(await readRow({ messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }, assistant('yo')] })).toMatchObject({
      format: 'messages',
      examples: [{ kind: 'conversation', messages: [user('hi'), assistant('yo')] }],
    });
    const turns = [
      { from: 'human', value: 'a' },
      { from: 'function_call', value: '{}' },
      { from: 'observation', value: '7' },
      { from: 'gpt', value: 'seven' },
    ];
    expect(await readRow({ conversations: turns, system: 'S' })).toMatchObject({
      format: 'sharegpt',
      examples: [{ messages: [{ role: 'system', content: 'S' }, user('a'), assistant('{}'), { role: 'tool', content: '7' }, assistant('seven')] }],
    });
  });

  it('reads preference pairs in every spelling', async () => {
    const expected = { kind: 'preference', prompt: 'q', chosen: 'good', rejected: 'bad' };
    const spellings = [
      { prompt: 'q', chosen: 'good', rejected: 'bad' },
      { question: 'q', chosen: 'good', rejected: 'bad' },
      { instruction: 'q', input: '', chosen: 'good', rejected: 'bad' },
      { prompt: [user('q')], chosen: [assistant('good')], rejected: [assistant('bad')] },
      { prompt: 'q', chosen: [user('q'), assistant('good')], rejected: [user('q'), assistant('bad')] },
      { conversations: [{ from: 'human', value: 'q' }], chosen: { from: 'gpt', value: 'good' }, rejected: { from: 'gpt', value: 'bad' } },
    ];
    for (const row of spellings) expect(await readRow(row)).toMatchObject({ format: 'preference', examples: [expected], problems: [] });
  });

  it('splits HH-RLHF transcripts at the answer where they part', async () => {
    const start = '\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:';
    expect(await readRow({ chosen: `${start} good\n\nstill good`, rejected: `${start} bad` })).toMatchObject({
      format: 'hh-rlhf',
      examples: [{ kind: 'preference', prompt: [user('a'), assistant('b'), user('c')], chosen: 'good\n\nstill good', rejected: 'bad' }],
    });
  });

  it('reads rows Attune wrote itself', async () => {
    const example = { kind: 'completion', prompt: '', completion: 'x' };
    expect((await readRow(example)).examples).toEqual([example]);
  });

  it('can be told the format', async () => {
    const path = file('both.jsonl', JSON.stringify({ prompt: 'a', completion: 'b', text: 'c' }));
    expect(await detectFormat(path)).toBe('prompt-completion');
    expect((await read(path, 'text')).examples).toEqual([{ kind: 'text', text: 'c' }]);
  });
});

describe('rows that cannot be read', () => {
  it('are told with line and reason while the rest is imported', async () => {
    const path = file(
      'mixed.jsonl',
      [
        '{"instruction":"a","output":"b"}',
        '{"instruction":"a","output":"b"',
        '',
        '{"instruction":"a","output":"  "}',
        '[1]',
        '{"instruction":"a"}',
        '{"instruction":7,"output":["b"]}',
        '{"instruction":"c","output":"d"}',
      ].join('\r\n'),
    );
    const { examples, lines, problems } = await read(path);
    expect(examples).toHaveLength(2);
    expect(lines).toEqual([1, 8]);
    expect(problems).toEqual([
      expect.stringMatching(/^2 skipped: not valid JSON/),
      '4 skipped: output is empty',
      '5 skipped: not a JSON object',
      '6 skipped: output is missing',
      '7 skipped: output is a list, not text',
    ]);
  });

  it('names equal answers, prompts without a question, unwanted rows and unknown roles', async () => {
    const reason = async (row: object) => (await readRow(row)).problems;
    expect(await reason({ prompt: 'q', chosen: 'same', rejected: 'same ' })).toEqual(['1 skipped: chosen and rejected are equal']);
    expect(await reason({ prompt: 'q', chosen: '', rejected: 'b' })).toEqual(['1 skipped: chosen is empty']);
    expect(await reason({ prompt: [user('q'), assistant('a')], chosen: 'b', rejected: 'c' })).toEqual([
      '1 skipped: the prompt ends with the assistant, not with the user',
    ]);
    expect(await reason({ messages: [user('q')] })).toEqual(['1 skipped: no assistant turn: there is nothing to learn from']);
    expect(await reason({ messages: [user('q'), assistant('')] })).toEqual(["1 skipped: the assistant's turn (message 2) is empty"]);
    expect(await reason({ messages: [{ role: 'alien', content: 'q' }] })).toEqual(['1 skipped: messages[0] has the unknown role "alien"']);
    expect(await reason({ messages: [user('q'), assistant('a')], label: false })).toEqual(['1 skipped: the row is marked as unwanted (label: false)']);
  });

  it('in a JSON array count by element, and a cut-off file keeps what came before', async () => {
    const row = (output: string) => `{"instruction": "brackets ]}, and \\"quotes\\"", "output": "${output}"}`;
    const whole = await read(file('array.json', `\uFEFF [\n ${row('one')},\n {"instruction": oops},\n ${row('two [')} ,\n]\n`));
    expect(whole.examples.map((example) => 'output' in example && example.output)).toEqual(['one', 'two [']);
    expect(whole.lines).toEqual([1, 3]);
    expect(whole.problems).toEqual([expect.stringMatching(/^2 skipped: not valid JSON/)]);
    const cut = await read(file('cut.json', `[${row('one')}, {"instruction": "tw`));
    expect(cut.examples).toHaveLength(1);
    expect(cut.problems).toEqual([expect.stringMatching(/^2 skipped: the file ends inside this element/)]);
    const extra = await read(file('extra.json', `[${row('one')}}, ${row('two')}]`));
    expect(extra.problems.join()).toMatch(/after the end of the array/);
  });

  it('with bytes that are not UTF-8 are imported with a warning', async () => {
    const { examples, problems } = await read(file('latin.jsonl', Buffer.from('{"text":"caf\xe9"}\n{"text":"ok"}', 'latin1')));
    expect(examples).toHaveLength(2);
    expect(problems).toEqual([expect.stringMatching(/^1 warning: holds U\+FFFD/)]);
  });
});

describe('files', () => {
  it('may be gzipped under any name', async () => {
    const path = file('packed.jsonl', gzipSync('{"text":"안녕"}\n{"text":"b"}\n'));
    expect((await read(path)).examples).toEqual([
      { kind: 'text', text: '안녕' },
      { kind: 'text', text: 'b' },
    ]);
  });

  it('of plain text give a row a line', async () => {
    expect(await read(file('plain.txt', 'one\n\ntwo'))).toMatchObject({ examples: [{ text: 'one' }, { text: 'two' }], lines: [1, 3] });
  });

  it('that are no datasets are refused in one sentence with the way out', async () => {
    await expect(detectFormat(join(folder, 'none.jsonl'))).rejects.toThrow(/none\.jsonl: no such file/);
    await expect(detectFormat(folder)).rejects.toThrow(/directory/);
    await expect(detectFormat(file('empty.jsonl', ''))).rejects.toThrow(/empty/);
    await expect(detectFormat(file('a.csv', 'Q,A\n1,2'))).rejects.toThrow(/save it as JSON Lines/);
    await expect(detectFormat(file('a.parquet', 'PAR1xx'))).rejects.toThrow(/Parquet/);
    await expect(detectFormat(file('a.bin', Buffer.from([1, 0, 2])))).rejects.toThrow(/not a text file/);
    await expect(detectFormat(file('odd.jsonl', '{"a":1,"b":2}'))).rejects.toThrow(/cannot tell the format: its rows have the fields a, b/);
    await expect(detectFormat(file('object.json', '{\n "data": []\n}'))).rejects.toThrow(/one JSON object/);
    const packed = gzipSync(Array.from({ length: 5000 }, (_, i) => `{"text":"${i} ${Math.sin(i)}"}`).join('\n'));
    await expect(read(file('cut.gz', packed.subarray(0, 40_000)), 'text')).rejects.toThrow(/gzip data is damaged or cut off after row \d+/);
  });

  it('stay out of memory: an array of 300,000 rows in 60 MB never stands in memory whole', async () => {
    const row = JSON.stringify({ instruction: 'x'.repeat(90), output: 'y'.repeat(80) });
    const path = file('big.json', `[${Array(300_000).fill(row).join(',')}]`);
    let rows = 0;
    let peak = 0;
    const start = process.memoryUsage().heapUsed;
    for await (const row of readDataset(path, {})) {
      if ('example' in row) rows++;
      if (rows % 10_000 === 0) peak = Math.max(peak, process.memoryUsage().heapUsed - start);
    }
    expect(rows).toBe(300_000);
    expect(peak).toBeLessThan(60e6);
  }, 30_000);
});

const assets = join(import.meta.dirname, '../../../../shared/assets/datasets');

describe.skipIf(!existsSync(assets))('real files (skipped where ../shared/assets is absent)', () => {
  // rows and kinds as counted in the files themselves
  it.each([
    ['llama-factory/alpaca_en_demo.json', 'alpaca', 999, 0],
    ['llama-factory/identity.json', 'alpaca', 91, 0],
    ['llama-factory/dpo_en_demo.json', 'preference', 300, 0],
    ['llama-factory/glaive_toolcall_en_demo.json', 'sharegpt', 300, 0],
    ['llama-factory/kto_en_demo.json', 'messages', 150, 150], // the half with label: false
    ['llama-factory/c4_demo.jsonl', 'text', 300, 0],
    ['llama-factory/wiki_demo.txt', 'text', 30, 0],
    ['hh-rlhf/test.jsonl.gz', 'hh-rlhf', 2308, 4], // of 2,312, four chosen answers are empty
  ])('%s is %s with %i rows', async (name, format, rows, skipped) => {
    const path = join(assets, name);
    expect(await detectFormat(path)).toBe(format);
    const { examples, problems } = await read(path);
    expect(examples).toHaveLength(rows);
    expect(problems.filter((problem) => problem.includes('skipped'))).toHaveLength(skipped);
  });
});
