/**
 * Reads a file of prompts: plain text has one prompt a line; JSON and JSONL have strings, or rows with `prompt`, `messages` or
 * `instruction` (and `input`).
 * Of answers in the rows only those of preference pairs and the right one (`expected`, else `output`) are kept. Not a dataset: nothing is stored.
 */
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { z } from 'zod';
import { Message } from '../shared/dataset.ts';
import type { Tool } from '../shared/tools.ts';
import { type Row as FileRow, RowError, toolsOf } from './datasets/formats/row.ts';
import { readTurns } from './datasets/formats/turns.ts';
import { UserError } from './user-error.ts';

export type PromptRow = { title: string; messages: Message[]; /** what the model may call */ tools?: Tool[]; /** of a preference row */ answers?: { chosen: string; rejected: string }; /** the right answer: a row's `expected`, else its `output` */ expected?: string; /** the answer a row shows: its `output`, else the assistant's last turn */ shown?: string };

const Row = z.union([
  z.string().min(1),
  z.looseObject({ messages: z.array(z.looseObject({ role: Message.shape.role })).min(1) }),
  z.looseObject({ prompt: z.string().min(1) }),
  z.looseObject({ prompt: z.array(z.looseObject({ role: Message.shape.role })).min(1) }),
  z.looseObject({ instruction: z.string().min(1), input: z.string().default('') }),
]);

const Expected = z.union([z.object({ expected: z.string().min(1) }).transform((row) => row.expected), z.object({ output: z.string().min(1) }).transform((row) => row.output)]);
const Shown = z.union([
  z.object({ output: z.string().min(1) }).transform((row) => row.output),
  z.object({ messages: z.array(z.object({ role: Message.shape.role, content: z.string().min(1) })).min(2) }).transform((row) => row.messages.at(-1)!).refine(({ role }) => role === 'assistant').transform(({ content }) => content),
]);
const Answers = z.object({ chosen: z.string(), rejected: z.string() });

export function readPrompts(file: string): PromptRow[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    throw new UserError(`${file}: the prompts cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const rows = parseRows(file, text).map(({ line, value }) => {
    const parsed = Row.safeParse(value);
    if (!parsed.success) throw new UserError(`${file}:${line}: not a prompt: expected a text, or a row with prompt, messages or instruction`);
    return { ...toPrompt(parsed.data, `${file}:${line}`), answers: Answers.safeParse(value).data, expected: Expected.safeParse(value).data, shown: Shown.safeParse(value).data };
  });
  if (rows.length === 0) throw new UserError(`${file}: there is no prompt in it`);
  return rows;
}

function parseRows(file: string, text: string): { line: number; value: unknown }[] {
  const parse = (json: string, where: string): unknown => {
    try {
      return JSON.parse(json);
    } catch (error) {
      throw new UserError(`${where}: not JSON (${(error as Error).message})`);
    }
  };
  const kind = extname(file).toLowerCase();
  if (kind === '.json') {
    const value = parse(text, file);
    if (!Array.isArray(value)) throw new UserError(`${file}: expected a list of prompts`);
    return value.map((item, i) => ({ line: i + 1, value: item }));
  }
  const lines = text.split(/\r?\n/).map((line, i) => ({ line: i + 1, value: line })).filter(({ value }) => value.trim() !== '');
  return kind === '.jsonl' ? lines.map(({ line, value }) => ({ line, value: parse(value, `${file}:${line}`) })) : lines;
}

function toPrompt(row: z.infer<typeof Row>, where: string): PromptRow {
  if (typeof row === 'string') return fromText(row);
  if ('instruction' in row) {
    const { instruction, input } = row as { instruction: string; input: string };
    return fromText(input.trim() === '' ? instruction : `${instruction}\n${input}`); // as an instruction row is trained
  }
  if ('prompt' in row && typeof row.prompt === 'string') return fromText(row.prompt);
  const { all, tools } = readConversation(row, where);
  const messages = all.slice(0, all.findLastIndex(({ role }) => role === 'user') + 1);
  if (messages.length === 0) throw new UserError(`${where}: there is no user's turn to answer`);
  return { title: messages.at(-1)!.content, messages, ...tools };
}

function readConversation(row: FileRow, where: string): { all: Message[]; tools: { tools?: Tool[] } } {
  try {
    return { all: 'messages' in row ? readTurns(row.messages, 'messages') : readTurns(row.prompt, 'prompt'), tools: toolsOf(row) };
  } catch (error) {
    throw error instanceof RowError ? new UserError(`${where}: ${error.message}`) : error;
  }
}

function fromText(text: string): PromptRow {
  return { title: text, messages: [{ role: 'user', content: text }] };
}
