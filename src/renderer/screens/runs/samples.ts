/** Sample completions put in order for the eye: by step, prompts as text, marked pieces. */
import type { SampleCompletion } from '../../../shared/api/runs.ts';

export type StepSamples = { step: number; samples: SampleCompletion[] };

/** Ascending by step; a step written again after a resume counts once, as it was last. */
export function byStep(samples: SampleCompletion[]): StepSamples[] {
  const steps = new Map<number, Map<string, SampleCompletion>>();
  for (const sample of samples) {
    const of = steps.get(sample.step) ?? new Map<string, SampleCompletion>();
    of.set(JSON.stringify(sample.prompt), sample);
    steps.set(sample.step, of);
  }
  return [...steps].sort(([a], [b]) => a - b).map(([step, of]) => ({ step, samples: [...of.values()] }));
}

/** A single question as it is; of a conversation, who says what. */
export function promptText(prompt: SampleCompletion['prompt']): string {
  if (typeof prompt === 'string') return prompt;
  if (prompt.length === 1) return prompt[0].content;
  return prompt.map(({ role, content }) => `${role}: ${content}`).join('\n\n');
}

/** `ranges` ascending, not touching each other. */
export function split(text: string, ranges: readonly (readonly [number, number])[]): { text: string; marked: boolean }[] {
  const pieces: { text: string; marked: boolean }[] = [];
  let at = 0;
  for (const [from, to] of ranges) {
    if (from > at) pieces.push({ text: text.slice(at, from), marked: false });
    pieces.push({ text: text.slice(from, to), marked: true });
    at = to;
  }
  if (at < text.length) pieces.push({ text: text.slice(at), marked: false });
  return pieces;
}
