/**
 * A prompt with places to be filled, `{{name}}`, and what stands before it: a system prompt and examples. What a person writes once and asks often.
 * Not a chat template, which is the model's and says how messages become tokens.
 */
import { z } from 'zod';

/** Shown to the model as a turn of its own before the conversation. One that is half written is not shown. */
export const Example = z.strictObject({ prompt: z.string().max(100_000), answer: z.string().max(100_000) });
export type Example = z.infer<typeof Example>;

export const Examples = z.array(Example).max(100);
/** May hold `{{name}}`; '' where prompts are written whole. */
export const TemplateText = z.string().max(100_000);

/** As kept in the library under a name. */
export const PromptTemplate = z.strictObject({ name: z.string().trim().min(1).max(60), system: z.string().max(100_000), text: TemplateText, examples: Examples });
export type PromptTemplate = z.infer<typeof PromptTemplate>;

/** A letter or _ first, of any script; other braces (as in JSON) are text. */
const PLACE = /\{\{\s*([\p{L}_][\p{L}\p{N}_-]*)\s*\}\}/gu;

/** Names of the places, each once, as they first come. */
export function variablesOf(text: string): string[] {
  return [...new Set([...text.matchAll(PLACE)].map(([, name]) => name))];
}

/** A place without a value is left as it stands; braces within values are text. */
export function fillTemplate(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(PLACE, (place, name: string) => (Object.hasOwn(values, name) ? values[name] : place));
}

/** As turns of a conversation. */
export function exampleMessages(examples: Example[]): { role: 'user' | 'assistant'; content: string }[] {
  return examples.filter(isWhole).flatMap(({ prompt, answer }) => [{ role: 'user' as const, content: prompt }, { role: 'assistant' as const, content: answer }]);
}

export function isWhole({ prompt, answer }: Example): boolean {
  return prompt.trim() !== '' && answer.trim() !== '';
}
