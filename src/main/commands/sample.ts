/** `attune sample` and `chat`: talking to a model. Looking at what it makes of a text is look.ts. */
import { type Command, Option } from 'commander';
import { randomBytes } from 'node:crypto';
import { createInterface, type Interface } from 'node:readline';
import type { Message, Template } from '../../shared/dataset.ts';
import { Dtype } from '../../shared/job.ts';
import type { ToolCall } from '../../shared/tools.ts';
import { startEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { putPreset } from '../db/sampling-presets.ts';
import { resolveModel } from '../models/index.ts';
import { UserError } from '../user-error.ts';
import { addBestOfOptions, type BestOfFlags, runBestOf } from './best-of.ts';
import { findPreset } from '../playground/presets.ts';
import { print, printJson, tell } from '../terminal.ts';
import { addConstraintOptions, type ConstraintFlags, readConstraint } from './constraint.ts';
import { addLookCommands } from './look.ts';
import { addMachineOptions, addSamplingOptions, addTemplateOption, type MachineOptions, readSampling, readTemplate, typedOptions } from './options.ts';
import { addPromptOptions, type PromptFlags, readAsked, readToolsFile, TOOLS_HELP } from './prompt.ts';
import { withLibrary } from './with-library.ts';

export function addSampleCommands(program: Command): void {
  const sample = program
    .command('sample')
    .description("write a model's answer to a prompt to stdout, and nothing else")
    .argument('<model>')
    .option('--json', 'the answer with its token ids, log-probabilities and why it ended; with --num-beams all beams')
    .option('--preset <name>', 'sampling settings, and what answers must be, kept for the model under this name; options beside it count more')
    .option('--save-preset <name>', 'keep the sampling settings, and what the answer must be, for the model under this name')
    .addHelpText('after', `
Examples:
  attune sample attune-base --prompt "Define the word river." --greedy
  attune sample my-dpo --prompt "Name three fruits." --temperature 0.7 --top-p 0.9 --seed 7
  attune sample my-dpo --prompt "Name three fruits." --num-beams 4 --length-penalty 0.8 --save-preset beams
  attune sample my-sft --prompt "What is 7 times 8?" --best-of 16 --choose majority --vote "(\\d+)" --expected 56
  attune sample my-sft --prompt "Define the word river." --best-of 8 --choose reward --reward-model my-reward --check check.js
  attune sample attune-base --raw --prompt "The river" --max-tokens 20
  attune sample my-sft --prompt "Is ice cold?" --choices yes,no
  attune sample my-sft --prompt "Define the word {{word}}." --examples three.jsonl --save-prompt define --var word=river
  attune sample my-sft --prompt-template define --var word=harbour
  attune sample my-sft --prompt "Describe a cat as JSON." --schema cat.schema.json
  attune sample my-tool-sft --prompt "Weather in Seoul?" --tools tools.json --json`);
  addMachineOptions(addDtypeOption(addTemplateOption(addConstraintOptions(addBestOfOptions(addSamplingOptions(addPromptOptions(sample))))))).action((name: string, options: SampleFlags, command: Command) =>
    withLibrary((library) => runSample(library, name, options, command)),
  );

  const chat = program
    .command('chat')
    .description('talk with a model, turn by turn')
    .argument('<model>')
    .option('--system <text>', 'a system message')
    .option('--tools <file>', TOOLS_HELP)
    .addHelpText('after', `
/reset forgets the conversation, /exit or Ctrl-D ends it, Ctrl-C cuts an answer short. What the model calls is told; /result TEXT answers a call. Lines from a pipe are turns, too.`);
  addMachineOptions(addDtypeOption(addTemplateOption(addSamplingOptions(chat)))).action((name: string, options: ChatFlags) =>
    withLibrary((library) => runChat(library, name, options)),
  );

  addLookCommands(program);
}

function addDtypeOption(command: Command): Command {
  const help = "weights as stored, or rounded to 8 bits as they load (ggml's Q8_0): faster, the answers differ a little";
  return command.addOption(new Option('--dtype <dtype>', help).choices(Dtype.options).default('stored'));
}

type SampleFlags = MachineOptions & BestOfFlags & ConstraintFlags & PromptFlags & { preset?: string; savePreset?: string; json?: boolean; template?: Template; dtype: Dtype };
type ChatFlags = MachineOptions & { system?: string; tools?: string; template?: Template; dtype: Dtype };

async function runSample(library: Library, name: string, options: SampleFlags, command: Command): Promise<void> {
  const typed = readSampling(options);
  const model = resolveModel(library, name);
  const preset = options.preset === undefined ? null : findPreset(library, model.name, options.preset);
  const sampling = preset === null ? typed : readSampling({ ...preset.sampling, ...typedOptions(command) });
  const constraint = readConstraint(options) ?? preset?.constraint ?? undefined;
  if (options.savePreset !== undefined) putPreset(library.db, { model: model.name, name: options.savePreset, sampling: { ...sampling, seed: 0 }, constraint: constraint ?? null });
  const { device, threads, dtype } = options;
  const template = readTemplate(options, model);
  const repairs = constraint !== undefined && 'enforce' in constraint && constraint.enforce === 'repair'; // what streams may not be what is printed
  const asked = readAsked(library, options);
  if (options.bestOf !== undefined) return runBestOf(library, model, sampling, asked, { ...options, template, constraint });
  if (asked.length !== 1 || options.prompts !== undefined) throw new UserError('--prompts goes with --best-of; attune compare answers many prompts with two models');
  const prompts = [asked[0].prompt];
  const engine = startEngine({ type: 'sample', device, threads, model: model.path, template, prompts, sampling, constraint, dtype, batchSize: 1 });
  let written = '';
  for await (const event of engine.events) {
    if (event.type === 'note') tell(event.text);
    if (event.type === 'token' && !options.json && !repairs) {
      process.stdout.write(event.text);
      written += event.text;
    }
    if (event.type === 'completion') {
      if (options.json) {
        const { text, ids, logprobs, finishReason, beams, validity, called } = event;
        printJson({ model: model.name, prompt: 'raw' in asked[0].prompt ? asked[0].prompt.raw : asked[0].prompt.messages.at(-1)!.content, text, ids, logprobs, finishReason, beams, validity, toolCalls: called?.calls });
      } else {
        const text = event.validity?.repaired ?? event.text;
        process.stdout.write(text.slice(written.length)); // a stop string may hold the last characters back
        if (!text.endsWith('\n')) print();
      }
      for (const { name: tool, arguments: given } of options.json ? [] : (event.called?.calls ?? [])) tell(`calls ${tool} with ${JSON.stringify(given)}`);
      if (event.validity?.repaired !== undefined) tell('the answer was repaired');
      if (event.validity?.valid === false) throw new Error(`the answer is not what was asked for: ${event.validity.reason}`);
    }
  }
}

async function runChat(library: Library, name: string, options: ChatFlags): Promise<void> {
  const sampling = readSampling(options);
  const model = resolveModel(library, name);
  const { device, threads, dtype } = options;
  const tools = readToolsFile(options.tools);
  const engine = startEngine({ type: 'chat', device, threads, model: model.path, template: readTemplate(options, model), dtype });
  let messages: Message[] = systemMessage(options.system);
  let answering = false;
  let left = false;
  const terminal = process.stdin.isTTY === true;
  let input: Interface | null = null;

  try {
    for (let ready = false; !ready; ) {
      const { value: event, done } = await engine.events.next();
      if (done) return;
      if (event.type === 'ready' && terminal) tell(`${model.name} on ${event.device}; /reset, /exit`);
      ready = event.type === 'result';
    }
    // not before the model is there: lines that come while nobody listens are lost
    input = createInterface({ input: process.stdin, output: terminal ? process.stderr : undefined, terminal });
    input.setPrompt('> ');
    input.on('SIGINT', () => {
      if (answering) engine.send({ type: 'stop' });
      else input!.close();
    });
    if (terminal) input.prompt();
    for await (const line of input) {
      const text = line.trim();
      if (text === '/exit') break;
      if (text === '/reset') messages = systemMessage(options.system);
      else if (text !== '') {
        const [call] = unanswered(messages);
        if (text.startsWith('/result') && !call) tell('there is no call to answer');
        else {
          messages.push(text.startsWith('/result') ? { role: 'tool', content: text.slice('/result'.length).trim(), tool_call_id: call.id, name: call.function.name } : { role: 'user', content: text });
          const [next] = unanswered(messages);
          if (next && text.startsWith('/result')) tell(`next, the result of ${next.function.name}: /result TEXT`);
          else {
            answering = true;
            engine.send({ type: 'chat', messages, tools, sampling });
            messages.push(await readAnswer(engine.events));
            answering = false;
          }
        }
      }
      if (terminal) input.prompt();
    }
    left = true;
  } finally {
    input?.close();
    if (left) await engine.events.return();
    else engine.kill();
  }
}

/** The calls of the last answer that no result stands after yet, in order. */
function unanswered(messages: Message[]): ToolCall[] {
  const at = messages.findLastIndex(({ role }) => role === 'assistant');
  const results = messages.slice(at + 1);
  return results.every(({ role }) => role === 'tool') ? (messages[at]?.tool_calls ?? []).slice(results.length) : [];
}

/** Streams one answer to stdout and returns it whole; what it calls is told. */
async function readAnswer(events: ReturnType<typeof startEngine>['events']): Promise<Message> {
  let written = '';
  for (;;) {
    const { value: event, done } = await events.next();
    if (done) return { role: 'assistant', content: written };
    if (event.type === 'note') tell(event.text);
    if (event.type === 'refused') throw new Error(event.message);
    if (event.type === 'token') {
      process.stdout.write(event.text);
      written += event.text;
    }
    if (event.type === 'completion') {
      process.stdout.write(`${event.text.slice(written.length)}\n`);
      const { text, calls } = event.called ?? { text: event.text, calls: [] };
      for (const call of calls) tell(`calls ${call.name} with ${JSON.stringify(call.arguments)}; /result TEXT answers`);
      // ids as Mistral's templates want them: nine letters and digits
      const made = calls.map((call): ToolCall => ({ id: randomBytes(5).toString('hex').slice(1), type: 'function', function: call }));
      return { role: 'assistant', content: text, ...(made.length > 0 && { tool_calls: made }) };
    }
  }
}

function systemMessage(content: string | undefined): Message[] {
  return content === undefined ? [] : [{ role: 'system', content }];
}
