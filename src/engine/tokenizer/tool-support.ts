/**
 * What a chat template does with tools and tool calls, found by rendering some: whether it writes them at all, in which spelling it wants a call
 * (most take arguments as a mapping, some as JSON text; some write calls only of a message whose content is null), and what of it a model's
 * answer would be. Nothing is guessed: what shows in no rendering counts as left out.
 */
import type { Message } from '../../shared/dataset.ts';
import type { Tool } from '../../shared/tools.ts';

/** A template's rendering of messages as they are given to it. */
export type Rendering = (messages: unknown[], tools: Tool[] | undefined, addGenerationPrompt: boolean) => string;

/** How a message with calls and no text is given to the template. */
export type CallSpelling = { content: '' | null; arguments: 'mapping' | 'text' };

export type ToolSupport = {
  /** Whether the list of tools shows in a prompt. */
  lists: boolean;
  /** Null: calls are left out in every spelling, or refused. */
  calls: CallSpelling | null;
  /** What a model writes for a call of PROBE, up to the end of its turn and with it; null where that cannot be told. */
  example: string | null;
};

export const PROBE = { name: 'probe_function', key: 'probe_key', value: 'probe_value' };
const PROBE_TOOL: Tool = {
  type: 'function',
  function: { name: PROBE.name, description: 'Probes.', parameters: { type: 'object', properties: { [PROBE.key]: { type: 'string', description: 'What.' } }, required: [PROBE.key] } },
};
const QUESTION: Message = { role: 'user', content: 'q' };
/** Mistral's template takes ids of nine letters and digits alone. */
const PROBE_CALL: Message = { role: 'assistant', content: '', tool_calls: [{ id: 'probe0001', type: 'function', function: { name: PROBE.name, arguments: { [PROBE.key]: PROBE.value } } }] };

const SPELLINGS: CallSpelling[] = (['mapping', 'text'] as const).flatMap((spelling) => [{ content: '', arguments: spelling }, { content: null, arguments: spelling }] satisfies CallSpelling[]);

export function probeTools(render: Rendering): ToolSupport {
  const tried = (...given: Parameters<Rendering>): string => {
    try {
      return render(...given);
    } catch {
      return '';
    }
  };
  const calls = SPELLINGS.find((spelling) => showsCall(tried(spellCalls([QUESTION, PROBE_CALL], spelling), [PROBE_TOOL], false), spelling)) ?? null;
  const prompt = tried([QUESTION], [PROBE_TOOL], true);
  const whole = calls && tried(spellCalls([QUESTION, PROBE_CALL], calls), [PROBE_TOOL], false);
  return { lists: prompt.includes(PROBE.name), calls, example: whole !== null && prompt !== '' && whole.startsWith(prompt) ? whole.slice(prompt.length) : null };
}

/** The list of tools may show the names, too: the value shows in the call alone. */
function showsCall(text: string, spelling: CallSpelling): boolean {
  if (!text.includes(PROBE.value) || text.includes('[object ')) return false;
  // a mapping's JSON text written as a JSON text again is not what a model is to learn
  return spelling.arguments === 'mapping' || !text.includes('\\"');
}

/** Messages as the template wants them. */
export function spellCalls(messages: Message[], spelling: CallSpelling): unknown[] {
  return messages.map((message) => {
    if (!message.tool_calls) return message;
    const tool_calls = spelling.arguments === 'mapping' ? message.tool_calls
      : message.tool_calls.map((call) => ({ ...call, function: { ...call.function, arguments: pythonJson(call.function.arguments) } }));
    return { ...message, content: message.content === '' ? spelling.content : message.content, tool_calls };
  });
}

/** As Python's json.dumps spaces it. */
function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`;
  if (typeof value === 'object' && value !== null) return `{${Object.entries(value).map(([key, part]) => `${JSON.stringify(key)}: ${pythonJson(part)}`).join(', ')}}`;
  return JSON.stringify(value);
}
