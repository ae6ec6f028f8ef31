import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import type { DatasetFormat, Example, RowProblem } from '../../shared/dataset.ts';
import { closeLibrary, openLibrary } from '../library.ts';
import { detectFormat, readDataset } from './import.ts';
import { importDataset, listDatasets } from './index.ts';

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

const row = (output: string) => `{"instruction": "brackets ]}, and \\"quotes\\"", "output": "${output}"}`;

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

  it('reads answers with a label (KTO), as strings or as messages, whatever way true and false are written', async () => {
    const good = { kind: 'unpaired', prompt: 'a', completion: 'b', label: true };
    expect(await readRow({ prompt: 'a', completion: 'b', label: true })).toMatchObject({ format: 'unpaired', examples: [good] });
    expect((await readRow({ prompt: [user('a')], completion: [assistant('b')], label: false })).examples).toEqual([{ ...good, label: false }]);
    expect((await readRow({ prompt: 'a', completion: 'b', label: 0 })).examples).toEqual([{ ...good, label: false }]);
    expect((await readRow({ question: 'a', response: 'b', label: 'True' })).examples).toEqual([good]);
    const talk = [{ role: 'system', content: 's' }, user('a')];
    expect((await readRow({ prompt: talk, completion: 'b', label: true })).examples).toEqual([{ ...good, prompt: talk }]);
    expect((await readRow(good)).examples).toEqual([good]); // as an export of ours has it
  });

  it('reads prompt and completion, as strings or as messages', async () => {
    expect(await readRow({ prompt: 'a', completion: 'b' })).toMatchObject({
      format: 'prompt-completion',
      examples: [{ kind: 'completion', prompt: 'a', completion: 'b' }],
    });
    expect(await readRow({ prompt: 'a', response: 'b' })).toMatchObject({
      format: 'prompt-completion',
      examples: [{ kind: 'completion', prompt: 'a', completion: 'b' }],
    });
    expect((await readRow({ prompt: [user('a')], completion: [assistant('b')] })).examples).toEqual([
      { kind: 'conversation', messages: [user('a'), assistant('b')] },
    ]);
  });

  it('reads rankings: best first, or by rank, or by score, without twins and ties', async () => {
    expect(await readRow({ prompt: 'q', responses: ['a', 'b', 'c'] })).toMatchObject({
      format: 'ranking',
      examples: [{ kind: 'ranking', prompt: 'q', responses: ['a', 'b', 'c'] }],
    });
    const ranked = async (fields: object) => (await readRow({ prompt: 'q', ...fields })).examples.map((example) => (example as { responses: string[] }).responses);
    expect(await ranked({ responses: ['a', 'b', 'c'], rank: [2, 3, 1] })).toEqual([['c', 'a', 'b']]);
    expect(await ranked({ responses: ['a', 'b', 'c'], scores: [0.1, 2, -1] })).toEqual([['b', 'a', 'c']]);
    expect(await ranked({ completions: [{ response: 'a', overall_score: 3 }, { response: 'b', overall_score: 5 }] })).toEqual([['b', 'a']]);
    // b and c tie: of the two the first stands for both; a second a says nothing
    expect(await ranked({ responses: ['a', 'b', 'c', 'a'], scores: [9, 4, 4, 1] })).toEqual([['a', 'b']]);
  });

  it('reads labelled texts, and the margin of a pair', async () => {
    expect(await readRow({ text: 'fine', label: 1 })).toMatchObject({ format: 'classification', examples: [{ kind: 'classification', text: 'fine', label: '1' }] });
    expect((await readRow({ prompt: 'q', chosen: 'a', rejected: 'b', margin: 0.5 })).examples).toEqual([{ kind: 'preference', prompt: 'q', chosen: 'a', rejected: 'b', margin: 0.5 }]);
  });

  it('reads messages, with text parts, and ShareGPT', async () => {
    expect(await readRow({ messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }, assistant('yo')] })).toMatchObject({
      format: 'messages',
      examples: [{ kind: 'conversation', messages: [user('hi'), assistant('yo')] }],
    });
    expect(await readRow({ conversations: [{ from: 'human', value: 'a' }, { from: 'gpt', value: 'b' }], system: 'S' })).toMatchObject({
      format: 'sharegpt',
      examples: [{ messages: [{ role: 'system', content: 'S' }, user('a'), assistant('b')] }],
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

  it('splits HH-RLHF transcripts at the last answer, and skips those that part earlier', async () => {
    const start = '\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:';
    expect(await readRow({ chosen: `${start} good\n\nstill good`, rejected: `${start} bad` })).toMatchObject({
      format: 'hh-rlhf',
      examples: [{ kind: 'preference', prompt: [user('a'), assistant('b'), user('c')], chosen: 'good\n\nstill good', rejected: 'bad' }],
    });
    expect((await readRow({ chosen: `${start} good\n\nHuman: d\n\nAssistant: e`, rejected: `${start} bad` })).problems).toEqual([
      '1 skipped: chosen and rejected differ before their last turn: they are not two answers to one prompt',
    ]);
  });

  it('reads rows Attune wrote itself', async () => {
    const example = { kind: 'completion', prompt: '', completion: 'x' };
    expect((await readRow(example)).examples).toEqual([example]);
    expect((await readRow({ id: 7, ...example })).examples).toEqual([example]);
    const mixed = [example, { kind: 'text', text: 'a', id: 8 }, { kind: 'instruction', instruction: 'a', input: '', output: 'b' }];
    const { examples, problems } = await read(file('mixed-kinds.jsonl', mixed.map((row) => JSON.stringify(row)).join('\n')));
    expect(problems).toEqual([]);
    expect(examples).toEqual([example, { kind: 'text', text: 'a' }, mixed[2]]);
  });

  it('reads rows whose column kind means something else', async () => {
    for (const kind of ['poem', 'text', 'constructor']) {
      expect((await readRow({ kind, instruction: 'a', output: 'b' })).examples).toEqual([{ kind: 'instruction', instruction: 'a', input: '', output: 'b' }]);
    }
  });

  it('can be told the format', async () => {
    const path = file('both.jsonl', JSON.stringify({ prompt: 'a', completion: 'b', text: 'c' }));
    expect(await detectFormat(path)).toBe('prompt-completion');
    expect((await read(path, 'text')).examples).toEqual([{ kind: 'text', text: 'c' }]);
  });

  it('is refused in one sentence when the first rows have none of its columns', async () => {
    const path = file('named.jsonl', Array(3).fill('{"prompt":"a","response":"b"}').join('\n'));
    await expect(read(path, 'alpaca')).rejects.toThrow(
      /named\.jsonl: not alpaca \(instruction and output\): its rows have the fields prompt, response; --format prompt-completion fits/,
    );
    const answers = file('answers.jsonl', '{"chosen":"a","rejected":"b"}');
    await expect(detectFormat(answers)).rejects.toThrow(/cannot tell the format: its rows have the fields chosen, rejected; say which of them is what, as in --format prompt-completion --map prompt=chosen --map completion=rejected, or name the fields/);
    await expect(read(answers, 'preference')).rejects.toThrow(/not preference \(chosen and rejected with a prompt\): its rows have the fields chosen, rejected/);
  });

  it('is found behind many broken lines, but not behind a thousand', async () => {
    const after = (lines: number) => file('late.jsonl', `${'{"text": \n'.repeat(lines)}{"text":"a"}`);
    expect(await detectFormat(after(999))).toBe('text');
    await expect(detectFormat(after(1000))).rejects.toThrow(/none of its first rows is a JSON object/);
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
    expect(await reason({ messages: [user('q'), assistant('a'), user('r')] })).toEqual([
      "1 skipped: the last turn is the user's, not the assistant's: nothing answers it",
    ]);
    expect(await reason({ messages: [{ role: 'constructor', content: 'q' }, assistant('a')] })).toEqual(['1 skipped: messages[0] has the unknown role "constructor"']);
    expect(await reason({ messages: [{ role: 'alien', content: 'q' }] })).toEqual(['1 skipped: messages[0] has the unknown role "alien"']);
    expect(await reason({ instruction: 'q', output: 'a', label: false })).toEqual(['1 skipped: the row is marked as unwanted (label: false)']);
  });

  it('with a mark of good or bad are single answers: LLaMA-Factory\'s whole conversations and kto_tag', async () => {
    const one = async (row: object) => (await readRow(row)).examples;
    expect(await one({ messages: [user('q'), assistant('a')], label: false })).toEqual([{ kind: 'unpaired', prompt: 'q', completion: 'a', label: false }]);
    expect(await one({ conversations: [{ from: 'human', value: 'q' }, { from: 'gpt', value: 'a' }, { from: 'human', value: 'r' }, { from: 'gpt', value: 'b' }], kto_tag: true })).toEqual([
      { kind: 'unpaired', prompt: [user('q'), assistant('a'), user('r')], completion: 'b', label: true },
    ]);
    expect(await one({ instruction: 'q', input: 'i', output: 'a', kto_tag: 'false' })).toEqual([{ kind: 'unpaired', prompt: 'q\ni', completion: 'a', label: false }]);
    // a number beside a conversation may mean anything
    expect(await one({ messages: [user('q'), assistant('a')], label: 1 })).toEqual([{ kind: 'conversation', messages: [user('q'), assistant('a')] }]);
  });

  it('but only have turns in an odd order are imported with a warning', async () => {
    const odd = async (...messages: object[]) => {
      const { examples, problems } = await readRow({ messages });
      expect(examples).toHaveLength(1);
      return problems;
    };
    const system = { role: 'system', content: 's' };
    expect(await odd(system, user('q'), assistant('a'), { role: 'tool', content: '' }, assistant('b'))).toEqual([]);
    expect(await odd(system, assistant('a'))).toEqual(["1 warning: the first turn is the assistant's"]);
    expect(await odd(user('q'), user(' '), assistant('a'))).toEqual(["1 warning: message 2 (the user's) is empty; messages 1 and 2 are both the user's"]);
    expect(await odd(user('q'), system, assistant('a'))).toEqual([
      "1 warning: message 2 is the system's, but not the first; the first turn is the assistant's",
    ]);
    expect(await odd(user('q'), { role: 'tool', content: '7' }, assistant('a'))).toEqual(["1 warning: message 2 is a tool's, but follows no call"]);
    const pair = await readRow({ prompt: [user('q'), assistant('a'), assistant('b'), user('r')], chosen: 'c', rejected: 'd' });
    expect(pair.problems).toEqual(["1 warning: messages 2 and 3 are both the assistant's"]);
  });

  it('in a JSON array count by element', async () => {
    const whole = await read(file('array.json', `\uFEFF [\n ${row('one')},\n {"instruction": oops},\n ${row('two [')} ,\n]\n`));
    expect(whole.examples.map((example) => 'output' in example && example.output)).toEqual(['one', 'two [']);
    expect(whole.lines).toEqual([1, 3]);
    expect(whole.problems).toEqual([expect.stringMatching(/^2 skipped: not valid JSON/)]);
    const stray = await read(file('stray.json', `[${row('one')}, , ${row('two')}]`));
    expect(stray.lines).toEqual([1, 3]);
    expect(stray.problems).toEqual(['2 skipped: an empty element: there is a comma too many']);
  });

  it('do not hide the rows after them: an array whose structure breaks is an error that says where', async () => {
    const broken = (content: string) => read(file('broken.json', content), 'alpaca');
    const [one, two, three] = ['one', 'two', 'three'].map(row);
    await expect(broken(`[\n${one},\n${two.slice(0, -1)},\n${three}\n]`)).rejects.toThrow(
      /broken\.json: line 5, row 2 of the array, which begins in line 3: a \] where a \} must come first/,
    );
    await expect(broken(`[\n${one},\n{"instruction": [1, "output": "b"},\n${three}\n]`)).rejects.toThrow(/line 3, row 2 of the array: a } where a \] must/);
    await expect(broken(`[\n${one},\n${two.slice(0, -2)}},\n${three}\n]`)).rejects.toThrow(/line 3, row 2 of the array: a text in it has no closing quote/);
    await expect(broken(`[${one}, {"instruction": "tw`)).rejects.toThrow(/line 1, row 2 of the array: the file ends before the array does/);
    await expect(broken(`[${one},\n${two},\n`)).rejects.toThrow(/line 3, row 3 of the array: the file ends before the array does/);
    await expect(broken(`[${one}}, ${two}]`)).rejects.toThrow(/line 1, row 1 of the array: a } where a \] must come first/);
    await expect(broken(`[${one}]\n, ${two}]`)).rejects.toThrow(/line 2, row 2 of the array: text stands after the end of the array/);
  });

  it('leave nothing in the library when the array breaks after rows were written', async () => {
    const library = openLibrary(join(folder, 'library'));
    // rows are written 1,000 at a time; the break is in row 2,501
    const path = file('late-break.json', `[\n${`${row('fine')},\n`.repeat(2500)}{"instruction": "a", "output": "b},\n${row('lost')}\n]`);
    await expect(importDataset(library, { file: path })).rejects.toThrow(/line 2502, row 2501 of the array/);
    expect(listDatasets(library)).toEqual([]);
    expect(library.db.prepare('SELECT count(*) AS rows FROM examples').get()).toEqual({ rows: 0 });
    closeLibrary(library);
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

  it('of plain text give a row a paragraph, or a line where no blank line parts them', async () => {
    expect(await read(file('paragraphs.txt', '\none\nmore\r\n\r\n \ntwo\n'))).toMatchObject({ examples: [{ text: 'one\nmore' }, { text: 'two' }], lines: [2, 6] });
    expect(await read(file('lines.txt', 'one\ntwo\n\n'))).toMatchObject({ examples: [{ text: 'one' }, { text: 'two' }], lines: [1, 2] });
    // the first blank line stands behind 1,100,000 characters, past the first MiB of 1,048,576
    expect((await read(file('long.txt', `${`${'x'.repeat(999)}\n`.repeat(1100)}\nend`))).examples).toHaveLength(1101);
    expect(await read(file('plain.txt', 'one\n\ntwo'))).toMatchObject({ examples: [{ text: 'one' }, { text: 'two' }], lines: [1, 3] });
  });

  it('of a table give a row a row: quotes, line ends in cells, other delimiters, gzip; a row of the wrong width is told by its line', async () => {
    const table = '\uFEFFinstruction,input,output\r\n"Say ""hi"", twice",,"hi\nhi"\r\n\r\nonly,two\r\nDraw a 5" line,,no\r\n';
    const { examples, lines, problems } = await read(file('table.csv', table));
    expect(examples).toEqual([
      { kind: 'instruction', instruction: 'Say "hi", twice', input: '', output: 'hi\nhi' },
      { kind: 'instruction', instruction: 'Draw a 5" line', input: '', output: 'no' },
    ]);
    expect(lines).toEqual([2, 6]);
    expect(problems).toEqual(['5 skipped: it has 2 cells where the first row names 3 columns: a comma or quote is missing or too many']);
    expect((await read(file('semicolons.csv', 'text;label\na, b;x\n'))).examples).toEqual([{ kind: 'classification', text: 'a, b', label: 'x' }]);
    expect((await read(file('tabs.tsv.gz', gzipSync('prompt\tcompletion\tlabel\nq\ta\ttrue\n')))).examples).toEqual([{ kind: 'unpaired', prompt: 'q', completion: 'a', label: true }]);
    await expect(read(file('open.csv', 'prompt,completion\na,b\nc,"d\ne,f\n'), 'prompt-completion')).rejects.toThrow(/open\.csv: after line \d a quote opens a cell and is never closed/);
    await expect(read(file('twice.csv', 'text,text\na,b\n'))).rejects.toThrow(/its first row names the column "text" twice/);
  });

  it('that are no datasets are refused in one sentence with the way out', async () => {
    await expect(detectFormat(join(folder, 'none.jsonl'))).rejects.toThrow(/none\.jsonl: no such file/);
    await expect(detectFormat(folder)).rejects.toThrow(/directory/);
    await expect(detectFormat(file('empty.jsonl', ''))).rejects.toThrow(/empty/);
    await expect(detectFormat(file('a.csv', 'Q,A\n1,2'))).rejects.toThrow(/cannot tell the format: its rows have the fields Q, A; say which .* --map prompt=Q --map completion=A, or name the fields/);
    await expect(detectFormat(file('a.parquet', 'PAR1 and nothing of a table after it'))).rejects.toThrow(/its end is no end of a Parquet file .*: it is cut off or damaged/);
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
  });
});

const assets = join(import.meta.dirname, '../../../../shared/assets/datasets');

describe.skipIf(!existsSync(assets))('real files (skipped where ../shared/assets is absent)', () => {
  // rows and kinds as counted in the files themselves
  it.each([
    ['llama-factory/alpaca_en_demo.json', 'alpaca', 999, 0],
    ['llama-factory/identity.json', 'alpaca', 91, 0],
    ['llama-factory/dpo_en_demo.json', 'preference', 300, 0],
    ['llama-factory/glaive_toolcall_en_demo.json', 'sharegpt', 300, 0],
    ['llama-factory/kto_en_demo.json', 'unpaired', 300, 0],
    ['llama-factory/c4_demo.jsonl', 'text', 300, 0],
    ['llama-factory/wiki_demo.txt', 'text', 30, 0],
    ['hh-rlhf/test.jsonl.gz', 'hh-rlhf', 2303, 9], // of 2,312, four chosen answers are empty and five pairs part before their last turn
    ['parquet-turkish-dialogues/test.jsonl', 'messages', 525, 0],
    ['parquet-turkish-dialogues/test.parquet', 'messages', 525, 0],
  ])('%s is %s with %i rows', async (name, format, rows, skipped) => {
    const path = join(assets, name);
    expect(await detectFormat(path)).toBe(format);
    const { examples, problems } = await read(path);
    expect(examples).toHaveLength(rows);
    expect(problems.filter((problem) => problem.includes('skipped'))).toHaveLength(skipped);
  });

  it('of the same rows as JSON Lines and as Parquet (ZSTD, lists of structs) are read alike', async () => {
    const [lines, parquet] = await Promise.all(['test.jsonl', 'test.parquet'].map((name) => read(join(assets, 'parquet-turkish-dialogues', name))));
    expect(parquet.examples).toEqual(lines.examples);
  });

  it('whose columns are called otherwise are mapped by hand: Parquet packed by Snappy, a Korean table', async () => {
    const maths: Example[] = [];
    for await (const row of readDataset(join(assets, 'parquet-gsm8k', 'test.parquet'), { mapping: { instruction: 'question', output: 'result' } })) if ('example' in row) maths.push(row.example);
    expect(maths).toHaveLength(20);
    expect(maths[0]).toEqual({ kind: 'instruction', instruction: 'What is 0 + 0?', input: '', output: '0' });
    const korean: Example[] = [];
    for await (const row of readDataset(join(assets, 'korean-chatbot', 'ChatbotData.csv'), { mapping: { prompt: 'Q', completion: 'A' } })) if ('example' in row) korean.push(row.example);
    expect(korean).toHaveLength(11_823);
    expect(korean[0]).toEqual({ kind: 'completion', prompt: '12시 땡!', completion: '하루가 또 가네요.' });
  });
});
