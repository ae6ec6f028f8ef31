/**
 * A model's own jinja chat template: conversation → pieces, with loss on every assistant turn, its end-of-turn token included.
 * Rendering is @huggingface/jinja's with transformers' settings. Spans come from {% generation %} where the template marks them, else from
 * rendering: a turn begins where the generation prompt ends and ends with the special token that closes it. A mask that cannot be
 * told for sure is refused. Special-token strings in messages ride through the template as placeholders and stay plain text.
 */
import { Template as Jinja } from '@huggingface/jinja';
import type { Message, TemplateProblem } from '../../shared/dataset.ts';
import type { Tool } from '../../shared/tools.ts';
import { renderJinja } from './jinja.ts';
import { probeTools, type Rendering, spellCalls, type ToolSupport } from './tool-support.ts';
import type { Piece, Tokenizer } from './tokenizer.ts';

export type ChatTemplate = {
  /** Everything up to where the model answers. */
  prompt(messages: Message[], tools?: Tool[]): Piece[];
  conversation(messages: Message[], tools?: Tool[]): Piece[];
  /** What it does with tools and calls; found by rendering some. */
  readonly tools: ToolSupport;
  /** What a person should know about this template, one sentence each. */
  problems: { kind: TemplateProblem; text: string }[];
};

/** What of a tokenizer a template knows. */
export type TemplateTokens = Pick<Tokenizer, 'specialTokens' | 'namedTokens' | 'eosIds' | 'token'>;

// Unicode noncharacters: for a program's own use, never part of interchanged text (and escaped where a message holds one all the same)
const MARKS = { open: '\uFDD0', close: '\uFDD1', generation: '\uFDD2', endGeneration: '\uFDD3', answerEnd: '\uFDD4' };

export function compileChatTemplate(source: string, tokenizer: TemplateTokens): ChatTemplate {
  const marked = /\{%-?\s*generation\s*-?%\}/.test(source);
  const jinja = compileJinja(source);
  const specials = [...tokenizer.specialTokens, ...Object.values(MARKS)];
  const specialPattern = alternatives(specials);
  const closing = new RegExp(`^\\s*(?:${alternatives([...tokenizer.specialTokens, '\uFFFF']).source})`);
  const eosStrings = tokenizer.eosIds.map((id) => tokenizer.token(id)).filter((token) => token !== '');
  const eos = eosStrings[0] ?? null;

  const escapeText = (text: string): string => text.replace(specialPattern, (special) => MARKS.open + specials.indexOf(special) + MARKS.close);
  /** Every text in messages or tools, names of fields, too. */
  function escape<Value>(value: Value): Value {
    if (typeof value === 'string') return escapeText(value) as Value;
    if (Array.isArray(value)) return value.map(escape) as Value;
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [escapeText(key), escape(part)])) as Value;
  }

  let support: ToolSupport | undefined;
  const rendering: Rendering = (messages, tools, addGenerationPrompt) =>
    jinja({ ...tokenizer.namedTokens, messages, tools: tools ?? null, add_generation_prompt: addGenerationPrompt }).replaceAll(/[\uFDD2\uFDD3]/g, '');
  const toolSupport = (): ToolSupport => (support ??= probeTools(rendering));

  /** The messages as the template wants calls spelled. Throws where it would leave them out: an answer that is not there cannot be learned, and a result of nothing misleads. */
  function spelled(messages: Message[]): unknown[] {
    const at = messages.findIndex((message) => message.tool_calls !== undefined);
    if (at < 0) return messages;
    const { calls } = toolSupport();
    if (calls === null) throw new Error(`the chat template leaves the tool calls of message ${at + 1} out: take a model whose template writes them, or leave the row out`);
    return spellCalls(messages, calls);
  }

  function render(messages: Message[], addGenerationPrompt: boolean, tools?: Tool[]): string {
    const given = spelled(messages);
    try {
      return jinja({ ...tokenizer.namedTokens, messages: given, tools: tools ?? null, add_generation_prompt: addGenerationPrompt });
    } catch (error) {
      throw new Error(`the chat template refuses this conversation (${(error as Error).message}): mend the row, or choose template: chatml`, {
        cause: error,
      });
    }
  }

  /** Text of a rendering, cut at `cuts` and placeholders. */
  function pieces(text: string, spans: Span[]): Piece[] {
    const result: Piece[] = [];
    const emit = (part: string, loss: boolean): void => {
      part.split(/\uFDD0(\d+)\uFDD1/).forEach((piece, i) => {
        if (i % 2 === 1) result.push({ text: specials[Number(piece)], loss });
        else if (piece !== '') result.push({ text: piece, loss, special: true });
      });
    };
    let at = 0;
    for (const { begin, end, append } of spans) {
      emit(text.slice(at, begin), false);
      emit(text.slice(begin, end), true);
      if (append !== null) result.push({ text: append, loss: true, special: true });
      at = end;
    }
    emit(text.slice(at), false);
    return result;
  }

  /** Where the answer of turn i ends in the whole rendering, before what closes it. */
  function answerEnd(messages: Message[], i: number, full: string, tools?: Tool[]): number {
    const calls = messages[i].tool_calls;
    if (calls) return callsEnd(messages, i, full, tools);
    for (const content of [messages[i].content, messages[i].content.trimEnd()]) {
      const parts = render(messages.with(i, { ...messages[i], content: content + MARKS.answerEnd }), false, tools).split(MARKS.answerEnd);
      if (parts.length === 2 && parts[0] + parts[1] === full) return parts[0].length;
    }
    throw new Error(`${unstable(i)}: its answer cannot be found again in the rendering`);
  }

  /** Calls come last in a turn: it ends with the first token after the name of the last one that closes answers. Special tokens in arguments are placeholders here. */
  function callsEnd(messages: Message[], i: number, full: string, tools?: Tool[]): number {
    const calls = messages[i].tool_calls!;
    const last = calls[calls.length - 1];
    const marked = calls.with(-1, { ...last, function: { ...last.function, name: last.function.name + MARKS.answerEnd } });
    const parts = render(messages.with(i, { ...messages[i], tool_calls: marked }), false, tools).split(MARKS.answerEnd);
    if (parts.length !== 2 || parts[0] + parts[1] !== full) throw new Error(`${unstable(i)}: its tool calls cannot be found again in the rendering`);
    const closer = closes() ? closing.exec(closed!)![0].trim() : '';
    const end = closer === '' ? -1 : full.indexOf(closer, parts[0].length);
    if (end < 0) throw new Error(`${unstable(i)}: nothing tells where its tool calls end`);
    return end;
  }

  function derivedSpans(messages: Message[], full: string, tools?: Tool[]): Span[] {
    const spans: Span[] = [];
    messages.forEach(({ role }, i) => {
      if (role !== 'assistant') return;
      let before: string;
      try {
        before = render(messages.slice(0, i), true, tools);
      } catch (error) {
        if (i === 0) return; // a greeting before anyone asked: context, since nothing is a prompt for it
        throw error;
      }
      if (!full.startsWith(before)) throw new Error(`${unstable(i)}: it is rendered otherwise inside a conversation than when it is asked for`);
      const end = answerEnd(messages, i, full, tools);
      if (end < before.length) throw new Error(`${unstable(i)}: the template writes part of it before the answer begins`);
      const close = closes() ? closing.exec(full.slice(end)) : null;
      if (close === null && eos === null) throw new Error('the tokenizer names no eos_token and the chat template closes no answer: set eos_token in tokenizer_config.json');
      spans.push({ begin: before.length, end: end + (close?.[0].length ?? 0), append: close === null ? eos : null });
    });
    return spans;
  }

  /** A marked answer that leaves its end-of-turn token outside takes it in. */
  function withEnd(text: string, span: Span): Span {
    const ended = eosStrings.some((token) => text.slice(span.begin, span.end).trimEnd().endsWith(token));
    const token = ended ? undefined : eosStrings.find((string) => text.startsWith(string, span.end));
    return token === undefined ? span : { ...span, end: span.end + token.length };
  }

  /** What follows the last answer. */
  let closed: string | undefined;
  /** Whether a special token does. */
  function closes(): boolean {
    closed ??= render([USER, { role: 'assistant', content: `a${MARKS.answerEnd}` }], false).split(MARKS.answerEnd)[1] ?? '';
    return closing.test(closed);
  }

  return {
    get tools() {
      return toolSupport();
    },
    prompt: (messages, tools) => pieces(render(escape(messages), true, escape(tools)).replaceAll(/[\uFDD2\uFDD3]/g, ''), []),
    conversation(messages, tools) {
      const escaped = escape(messages);
      const escapedTools = escape(tools);
      const full = render(escaped, false, escapedTools);
      if (!marked) return pieces(full, derivedSpans(escaped, full, escapedTools));
      const { text, spans } = readMarkedSpans(full);
      return pieces(text, spans.map((span, i) => (spans[i + 1]?.begin === span.end ? span : withEnd(text, span))));
    },
    get problems() {
      const problems: ChatTemplate['problems'] = [];
      try {
        if (!render([{ role: 'system', content: 'Attend.' }, USER], true).includes('Attend.')) {
          problems.push({ kind: 'drops-system', text: 'the chat template drops system messages: they are not trained on' });
        }
      } catch {
        problems.push({ kind: 'refuses-system', text: 'the chat template refuses system messages' });
      }
      try {
        if (!marked && !closes()) {
          problems.push({ kind: 'no-end-of-turn', text: `the chat template does not close an answer with an end-of-turn token: ${eos ?? 'the eos token'} is added after each` });
        }
      } catch (error) {
        problems.push({ kind: 'fails', text: (error as Error).message });
      }
      return problems;
    },
  };
}

/** [begin, end) of the rendered text that carries loss; `append` is put after it, with loss. */
type Span = { begin: number; end: number; append: string | null };

const USER: Message = { role: 'user', content: 'q' };

const unstable = (i: number): string => `the chat template gives no sure loss mask for message ${i + 1} (choose template: chatml, or mark answers with {% generation %})`;

/** A template as a function of what transformers' apply_chat_template gives it: messages, tools, documents, named tokens and whatever else it asks for. What {% generation %} holds is between marks. */
export function compileJinja(source: string): (context: Record<string, unknown>) => string {
  // {% generation %} as a block that also writes a mark; blocks keep the whitespace rules of the tag they stand for
  const prepared = source
    .replace(/\r\n?/g, '\n') // as jinja2 does
    .replace(/\{%(-?)\s*generation\s*(-?)%\}/g, (_, left, right) => `{%${left} if true %}{{ '${MARKS.generation}' }}{% endif ${right}%}`)
    .replace(/\{%(-?)\s*endgeneration\s*(-?)%\}/g, (_, left, right) => `{%${left} if true %}{{ '${MARKS.endGeneration}' }}{% endif ${right}%}`);
  try {
    const jinja = new Jinja(prepared);
    return (context) => renderJinja(jinja, { bos_token: '', eos_token: '', tools: null, documents: null, ...context });
  } catch (error) {
    throw new Error(`the chat template is not readable jinja (${(error as Error).message}): mend it, or choose template: chatml`, { cause: error });
  }
}

function readMarkedSpans(full: string): { text: string; spans: Span[] } {
  const spans: Span[] = [];
  let text = '';
  full.split(/([\uFDD2\uFDD3])/).forEach((part) => {
    if (part === MARKS.generation) spans.push({ begin: text.length, end: -1, append: null });
    else if (part === MARKS.endGeneration) spans[spans.length - 1].end = text.length;
    else text += part;
  });
  return { text, spans };
}

const alternatives = (strings: string[]): RegExp =>
  new RegExp(
    strings
      .filter((string) => string !== '')
      .sort((a, b) => b.length - a.length)
      .map((string) => string.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('|'),
    'g',
  );
