/**
 * What one row of training data is, for every layer.
 * Not how a file spells it (main/datasets reads files) and not how a model sees it (engine/data renders and tokenises).
 */
import { z } from 'zod';
import { ToolCalls, Tools } from './tools.ts';

export const Message = z.strictObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string(),
  /** The assistant's, after its text. */
  tool_calls: ToolCalls.optional(),
  /** A tool's: which call it answers, and which function it is. */
  tool_call_id: z.string().optional(),
  name: z.string().optional(),
});
export type Message = z.infer<typeof Message>;

/** One answer: a text, or a message where it calls tools. */
export const Answer = z.union([z.string(), z.strictObject({ role: z.literal('assistant'), content: z.string(), tool_calls: ToolCalls })]);
export type Answer = z.infer<typeof Answer>;

export const asAnswer = ({ content, tool_calls }: Message): Answer => (tool_calls ? { role: 'assistant', content, tool_calls } : content);
export const answerMessage = (answer: Answer): Message => (typeof answer === 'string' ? { role: 'assistant', content: answer } : answer);

/** What a message says, its calls as lines of JSON after its text: for people to read, to search and to compare; a model's template writes them its own way. */
export function messageText({ content, tool_calls: calls = [] }: Pick<Message, 'content' | 'tool_calls'>): string {
  return [content, ...calls.map((call) => JSON.stringify(call.function))].filter((part) => part !== '').join('\n');
}
export const answerText = (answer: Answer): string => messageText(answerMessage(answer));

/** Alpaca's row: an instruction, optional input, the wanted output. */
export const InstructionExample = z.strictObject({
  kind: z.literal('instruction'),
  instruction: z.string(),
  input: z.string().default(''),
  output: z.string(),
});

const tools = Tools.optional().describe('what the model may call');

/** A conversation of one or more turns; every assistant turn carries loss. */
export const ConversationExample = z.strictObject({ kind: z.literal('conversation'), messages: z.array(Message).min(1), tools });

/** Raw text continued by raw text: no template is applied. */
export const CompletionExample = z.strictObject({ kind: z.literal('completion'), prompt: z.string(), completion: z.string() });

/**
 * One prompt and two answers to it, the first preferred. `prompt` as a string is a user's instruction and goes through the
 * template like one; as messages it is the conversation so far (its last turn is the user's).
 */
export const PreferenceExample = z.strictObject({
  kind: z.literal('preference'),
  prompt: z.union([z.string(), z.array(Message).min(1)]),
  tools,
  chosen: Answer,
  rejected: Answer,
  /** By how much the chosen answer is the better one, in the score of a reward model; only a reward model reads it. */
  margin: z.number().optional(),
  /** Who prefers the first one, where it was not a person: the judge's name. */
  source: z.string().optional(),
});

/** One prompt and two or more answers to it, best first: K answers stand for K·(K−1)/2 pairs. The prompt as in a preference. */
export const RankingExample = z.strictObject({
  kind: z.literal('ranking'),
  prompt: z.union([z.string(), z.array(Message).min(1)]),
  tools,
  responses: z.array(z.string()).min(2),
});

/** A text and what it is, for a classifier. No template is applied. */
export const ClassificationExample = z.strictObject({ kind: z.literal('classification'), text: z.string(), label: z.string().min(1) });

/** One prompt, one answer to it, and whether it is wanted: a thumb up or down (TRL's unpaired preference). The prompt as in a preference. */
export const UnpairedExample = z.strictObject({
  kind: z.literal('unpaired'),
  prompt: z.union([z.string(), z.array(Message).min(1)]),
  tools,
  completion: Answer,
  label: z.boolean(),
});

/** Plain text for next-token prediction. */
export const TextExample = z.strictObject({ kind: z.literal('text'), text: z.string() });

export const Example = z.discriminatedUnion('kind', [
  InstructionExample,
  ConversationExample,
  CompletionExample,
  PreferenceExample,
  RankingExample,
  ClassificationExample,
  UnpairedExample,
  TextExample,
]);
export type InstructionExample = z.infer<typeof InstructionExample>;
export type ConversationExample = z.infer<typeof ConversationExample>;
export type CompletionExample = z.infer<typeof CompletionExample>;
export type PreferenceExample = z.infer<typeof PreferenceExample>;
export type RankingExample = z.infer<typeof RankingExample>;
export type ClassificationExample = z.infer<typeof ClassificationExample>;
export type UnpairedExample = z.infer<typeof UnpairedExample>;
export type TextExample = z.infer<typeof TextExample>;
export type Example = z.infer<typeof Example>;

/** What a dataset is edited as and trained on: rows of one dataset are all of one of these. */
export type DatasetKind = 'examples' | 'preferences' | 'unpaired' | 'rankings' | 'labels';

export function datasetKindOf(kind: Example['kind']): DatasetKind {
  return KIND_OF_ROWS[kind] ?? 'examples';
}

const KIND_OF_ROWS: Partial<Record<Example['kind'], DatasetKind>> = {
  preference: 'preferences', unpaired: 'unpaired', ranking: 'rankings', classification: 'labels',
};

export const Split = z.enum(['train', 'validation', 'test']);
export type Split = z.infer<typeof Split>;

/** How a file spells its rows; detected from the first rows, or named by hand. */
export const DatasetFormat = z.enum([
  'alpaca',
  'prompt-completion',
  'messages',
  'sharegpt',
  'preference',
  'hh-rlhf',
  'ranking',
  'classification',
  'unpaired',
  'text',
]);
export type DatasetFormat = z.infer<typeof DatasetFormat>;

/** A row that was not imported, or was imported but deserves a look. */
export type RowProblem = {
  file: string;
  /** 1-based line in a JSONL or text file; 1-based element index in a JSON array. */
  line: number;
  severity: 'skipped' | 'warning';
  reason: string;
};

/** Which prompt format an example is rendered through: Alpaca's, ChatML, or the model's own jinja chat template. */
export const Template = z.enum(['alpaca', 'chatml', 'chat']);
export type Template = z.infer<typeof Template>;

/** What can be wrong with a model's own chat template: it leaves system messages or tools out or refuses system messages, forgets the end-of-turn token, or cannot be used at all. */
export type TemplateProblem = 'drops-system' | 'drops-tools' | 'refuses-system' | 'no-end-of-turn' | 'fails';
