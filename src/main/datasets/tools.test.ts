import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Example, type RowProblem } from '../../shared/dataset.ts';
import { turnEdit } from './editing.ts';
import { exportDataset } from './export.ts';
import { readDataset } from './import.ts';
import { getDataset, importDataset } from './index.ts';
import { edit, openTestLibrary, rowsOf, type TestLibrary, viewOf } from './testing.ts';

let library: TestLibrary;
beforeEach(() => {
  library = openTestLibrary();
});
afterEach(() => library.close());

const ADD = { type: 'function', function: { name: 'add', description: 'Adds.', parameters: { type: 'object', properties: { a: { type: 'number' } } } } };
const call = (args: unknown, id?: string) => ({ ...(id && { id }), type: 'function', function: { name: 'add', arguments: args } });
const user = { role: 'user', content: 'q' };
const calling = { role: 'assistant', content: '', tool_calls: [call({ a: 1 }, 'c1')] };
const result = { role: 'tool', content: '2', tool_call_id: 'c1', name: 'add' };
const answer = { role: 'assistant', content: 'two' };

function fileOf(...rows: object[]): string {
  const path = join(library.folder, 'tools.jsonl');
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

async function read(...rows: object[]): Promise<{ examples: Example[]; problems: string[] }> {
  const examples: Example[] = [];
  const problems: RowProblem[] = [];
  for await (const row of readDataset(fileOf(...rows), {})) {
    if ('problem' in row) problems.push(row.problem);
    else examples.push(row.example);
  }
  return { examples, problems: problems.map(({ line, severity, reason }) => `${line} ${severity}: ${reason}`) };
}

describe('import', () => {
  it('keeps tools and calls of OpenAI’s messages, arguments as a mapping, also where they were JSON text', async () => {
    const whole = { kind: 'conversation', messages: [user, calling, result, answer], tools: [ADD] };
    const spelled = { messages: [user, { role: 'assistant', content: null, tool_calls: [call('{"a": 1}', 'c1')] }, result, { ...answer, tool_calls: [] }], tools: JSON.stringify([ADD]) };
    expect(await read({ messages: whole.messages, tools: whole.tools }, spelled)).toEqual({ examples: [whole, whole], problems: [] });
    const { examples } = await read({ messages: [user, { role: 'assistant', content: 'Let me see.', function_call: { name: 'add', arguments: '{}' } }, { role: 'function', content: '0' }, answer] });
    expect(examples).toEqual([{ kind: 'conversation', messages: [user, { role: 'assistant', content: 'Let me see.', tool_calls: [call({})] }, { role: 'tool', content: '0' }, answer] }]);
  });

  it('reads ShareGPT’s function_call and observation, one call or several, with bare schemas in its tools column', async () => {
    const turns = (value: string) => [{ from: 'human', value: 'q' }, { from: 'function_call', value }, { from: 'observation', value: '2' }, { from: 'gpt', value: 'two' }];
    const tools = JSON.stringify([ADD.function]);
    const { examples, problems } = await read(
      { conversations: turns('{"name": "add", "arguments": {"a": 1}}'), tools },
      { conversations: turns('[{"name": "add", "arguments": "{}"}, {"name": "add", "arguments": {}}]'), tools },
    );
    expect(problems).toEqual([]);
    expect(examples[0]).toEqual({ kind: 'conversation', messages: [user, { role: 'assistant', content: '', tool_calls: [call({ a: 1 })] }, { role: 'tool', content: '2' }, answer], tools: [ADD] });
    expect(examples[1]).toMatchObject({ messages: [{}, { tool_calls: [call({}), call({})] }, {}, {}] });
  });

  it('keeps calls on both sides of a pair, in labelled answers, and makes an Alpaca row with tools a conversation', async () => {
    const one = async (row: object) => (await read(row)).examples;
    expect(await one({ prompt: [user], chosen: [calling], rejected: [answer], tools: [ADD] })).toEqual([{ kind: 'preference', prompt: 'q', chosen: calling, rejected: 'two', tools: [ADD] }]);
    expect(await one({ prompt: [user], completion: [calling], label: false, tools: [ADD] })).toEqual([{ kind: 'unpaired', prompt: 'q', completion: calling, label: false, tools: [ADD] }]);
    expect(await one({ instruction: 'q', output: 'two', tools: JSON.stringify([ADD]) })).toEqual([{ kind: 'conversation', messages: [user, answer], tools: [ADD] }]);
    expect((await read({ prompt: [user], chosen: [calling], rejected: [calling] })).problems).toEqual(['1 skipped: chosen and rejected are equal']);
  });

  it('tells bad ones by line and field', async () => {
    const row = (tool_calls: unknown, tools?: unknown) => ({ messages: [user, { ...answer, tool_calls }], tools });
    const { problems } = await read(
      { messages: [user, answer] }, row([{ function: { arguments: {} } }]), row([call('{a')]), row([call([1])]), row([], '{'), row([], { a: 1 }), row([], [{ type: 'function' }]),
      { messages: [{ ...user, tool_calls: [call({})] }, answer] }, { conversations: [{ from: 'human', value: 'q' }, { from: 'function_call', value: 'add(1)' }] },
      row([call({})], [{ ...ADD, function: { name: 'other' } }]), { messages: [user, calling, { ...result, tool_call_id: 'c9' }, answer] },
    );
    expect(problems).toEqual([
      '2 skipped: messages[1].tool_calls[0].function names no function',
      expect.stringMatching(/^3 skipped: messages\[1\]\.tool_calls\[0\]\.function\.arguments is not JSON \(/),
      '4 skipped: messages[1].tool_calls[0].function.arguments is neither an object nor the JSON text of one',
      expect.stringMatching(/^5 skipped: tools is not JSON \(/),
      '6 skipped: tools is not a list',
      '7 skipped: tools[0] names no function',
      "8 skipped: messages[0] calls tools, but is the user's: only the assistant calls",
      expect.stringMatching(/^9 skipped: conversations\[1\]\.value is not JSON \(/),
      "10 warning: message 2 calls add, which is none of the row's tools",
      '11 warning: message 3 answers the call c9, which nobody made before',
    ]);
    expect((await read({ text: 'plain', tools: [ADD] })).problems).toEqual([
      '1 warning: the list of tools is left out, here and in rows of its kind after it: a row of kind text has no template that lists them',
    ]);
  });
});

describe('a dataset with tools', () => {
  const pair = { kind: 'preference', prompt: [user, calling, result], tools: [ADD], chosen: { ...calling, content: 'Again.' }, rejected: 'two' };
  const conversation = { kind: 'conversation', messages: [user, calling, result, answer], tools: [ADD] };

  it('comes out as it went in, and in again', async () => {
    const out = join(library.folder, 'out.jsonl');
    for (const [name, example] of [['talk', conversation], ['pairs', pair]] as const) {
      await importDataset(library.workbench.library, { file: fileOf(example), name, split: 'train' });
      await exportDataset(library.workbench.library, { dataset: getDataset(library.workbench.library, name), path: out });
      expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual(example);
      await importDataset(library.workbench.library, { file: out, name: `${name} again`, split: 'train' });
      expect((await rowsOf(library, {}, `${name} again`))[0].example).toEqual(Example.parse(example));
    }
  });

  it('is found by the name of a function and by what a call says', async () => {
    await importDataset(library.workbench.library, { file: fileOf(conversation, { ...conversation, tools: undefined, messages: [user, answer] }), name: 'rows', split: 'train' });
    expect(await rowsOf(library, { text: 'Adds' })).toHaveLength(1);
    expect(await rowsOf(library, { text: 'arguments' })).toHaveLength(1);
    expect(await rowsOf(library, { text: 'two' })).toHaveLength(2);
  });

  it('swaps answers that call, edits calls, and takes both back', async () => {
    await importDataset(library.workbench.library, { file: fileOf(pair), name: 'rows', split: 'train' });
    const [row] = await rowsOf(library);
    await edit(library, { type: 'swap', rows: { view: await viewOf(library) } });
    expect((await rowsOf(library))[0].example).toEqual({ ...pair, chosen: 'two', rejected: pair.chosen });
    await turnEdit(library.workbench, 'rows', 'undo');
    expect(await rowsOf(library)).toEqual([row]);
    await edit(library, { type: 'update', id: row.id, example: Example.parse({ ...pair, tools: undefined, chosen: calling }) });
    expect((await rowsOf(library))[0].example).toEqual({ kind: 'preference', prompt: pair.prompt, chosen: calling, rejected: 'two' });
    await turnEdit(library.workbench, 'rows', 'undo');
    expect(await rowsOf(library)).toEqual([row]);
  });
});

const glaive = join(import.meta.dirname, '../../../../shared/assets/datasets/llama-factory/glaive_toolcall_en_demo.json');
it.skipIf(!existsSync(glaive))('LLaMA-Factory’s tool calls are read whole: every list of tools, every call (skipped where ../shared/assets is absent)', async () => {
  const rows = JSON.parse(readFileSync(glaive, 'utf8')) as { conversations: { from: string }[]; tools: string }[];
  let [calls, listed, at] = [0, 0, 0];
  for await (const row of readDataset(glaive, {})) {
    if (!('example' in row) || row.example.kind !== 'conversation') throw new Error(JSON.stringify(row));
    const { messages, tools } = row.example;
    expect(messages.filter((message) => message.tool_calls)).toHaveLength(rows[at].conversations.filter(({ from }) => from === 'function_call').length);
    calls += messages.filter((message) => message.tool_calls).length;
    if (tools) listed++;
    at++;
  }
  expect({ at, listed, calls: calls > 100 }).toEqual({ at: 300, listed: rows.filter(({ tools }) => JSON.parse(tools || '[]').length > 0).length, calls: true });
});
