/** What a model is asked, from the command line: --prompt, a kept template and its places, a system message, examples before it, or a file of prompts. */
import type { Command } from 'commander';
import { type Example, fillTemplate, PromptTemplate, variablesOf } from '../../shared/prompt-template.ts';
import type { Prompt } from '../../shared/job.ts';
import { putPromptTemplate } from '../db/prompt-templates.ts';
import type { Library } from '../library.ts';
import { openingOf } from '../playground/conversation.ts';
import { findTemplate } from '../playground/templates.ts';
import { readPrompts } from '../prompts.ts';
import { UserError } from '../user-error.ts';

export type PromptFlags = {
  prompt?: string; prompts?: string; promptTemplate?: string; var?: Record<string, string>; savePrompt?: string; examples?: string; system?: string; raw?: boolean; expected?: string;
};

export function addPromptOptions(command: Command): Command {
  return command
    .option('--prompt <text>', 'what the user says; may hold {{name}}, filled by --var')
    .option('--prompts <file>', 'with --best-of: prompts a line, or JSON, JSONL with prompt, messages or instruction, and the right answer as expected or output')
    .option('--prompt-template <name>', 'in place of --prompt: a prompt kept under this name, with its system message and examples')
    .option('--var <name=value>', 'what goes into {{name}} of the prompt; may be given again', readVariable)
    .option('--examples <file>', 'turns shown before the prompt: JSONL or JSON rows with messages, or with instruction (or prompt) and output')
    .option('--save-prompt <name>', 'keep --prompt, --system and --examples as a template under this name')
    .option('--system <text>', 'a system message before it')
    .option('--raw', 'take the prompt as it is and continue it, without a template');
}

export type Asked = { prompt: Prompt; /** the right answer */ expected: string | null };

/** One, or those of --prompts. */
export function readAsked(library: Library, flags: PromptFlags): Asked[] {
  const { prompt, prompts, promptTemplate, raw } = flags;
  if ([prompt, prompts, promptTemplate].filter((given) => given !== undefined).length !== 1) {
    throw new UserError('give what the model is to answer: --prompt TEXT, or --prompt-template NAME, or with --best-of a file of prompts with --prompts');
  }
  const kept = promptTemplate === undefined ? null : findTemplate(library, promptTemplate);
  const system = flags.system ?? kept?.system ?? '';
  const examples = flags.examples === undefined ? (kept?.examples ?? []) : readExamples(flags.examples);
  if (raw && examples.length > 0) throw new UserError('--raw continues a text as it is: examples are turns of a conversation, write them into the text');
  if (flags.savePrompt !== undefined) keep(library, flags.savePrompt, { system, text: kept?.text ?? prompt, examples });
  const before = openingOf({ system, examples });
  if (prompts !== undefined) {
    if (flags.var !== undefined) throw new UserError('--var fills the places of one prompt: --prompts holds prompts written whole');
    return readPrompts(prompts).map((row) => ({ prompt: raw ? { raw: row.title } : { messages: [...before, ...row.messages], ...(row.tools && { tools: row.tools }) }, expected: row.expected ?? null }));
  }
  const text = fill(kept?.text ?? prompt!, flags.var, kept !== null);
  return [{ prompt: raw ? { raw: text } : { messages: [...before, { role: 'user', content: text }] }, expected: flags.expected ?? null }];
}

/** A text whose places nobody speaks of is taken as it is, unless it is kept as a template. */
function fill(text: string, values: Record<string, string> | undefined, isTemplate: boolean): string {
  if (values === undefined && !isTemplate) return text;
  const places = variablesOf(text);
  const missing = places.filter((name) => values?.[name] === undefined);
  if (missing.length > 0) throw new UserError(`--var: the prompt has {{${missing[0]}}}, and nothing to put there: give --var ${missing[0]}=TEXT`);
  const unknown = Object.keys(values ?? {}).find((name) => !places.includes(name));
  if (unknown !== undefined) throw new UserError(`--var ${unknown}: the prompt has no {{${unknown}}}${places.length > 0 ? `: it has ${places.join(', ')}` : ''}`);
  return fillTemplate(text, values ?? {});
}

function keep(library: Library, name: string, { text, ...before }: { system: string; text: string | undefined; examples: Example[] }): void {
  if (text === undefined) throw new UserError('--save-prompt goes with --prompt: it keeps one prompt');
  const named = PromptTemplate.shape.name.safeParse(name);
  if (!named.success) throw new UserError('--save-prompt: a name has 1 to 60 characters');
  putPromptTemplate(library.db, { name: named.data, text, ...before });
}

/** Rows as in a file of prompts; each needs the answer that it shows. */
function readExamples(file: string): Example[] {
  return readPrompts(file).map((row, i) => {
    if (row.shown === undefined || row.messages.length !== 1) throw new UserError(`${file}: example ${i + 1}: expected one prompt and its answer: instruction (or prompt) and output, or messages of a user and an assistant`);
    return { prompt: row.title, answer: row.shown };
  });
}

function readVariable(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new UserError(`--var ${text}: expected name=value`);
  return { ...before, [text.slice(0, at).trim()]: text.slice(at + 1) };
}
