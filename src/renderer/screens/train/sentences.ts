/** Names, help, ranges and problems of a recipe's fields as people read them. English comes from the schema itself, Korean from the messages. */
import { formatCount } from '../../format.ts';
import * as m from '../../paraglide/messages.js';
import { language } from '../../state/language.svelte.ts';
import type { Field } from './fields.ts';
import type { Problem } from './recipe-check.ts';

const messages = m as unknown as Record<string, (() => string) | undefined>;

/** Abbreviations that a name split at its capitals would spoil. */
const LABELS: Record<string, string> = {
  'optimizer.lrSchedulerType': 'Learning rate schedule',
  'optimizer.minLrRatio': 'Final learning rate share',
  perDeviceTrainBatchSize: 'Batch size',
  numTrainEpochs: 'Epochs',
  lora: 'LoRA',
  'lora.r': 'LoRA rank (r)',
  'lora.loraAlpha': 'LoRA alpha',
  'lora.loraDropout': 'LoRA dropout',
  'lora.useDora': 'DoRA',
  'lora.baseWeights': 'Frozen base kept as (QLoRA)',
  evalSteps: 'Evaluate every',
  saveSteps: 'Checkpoint every',
  loggingSteps: 'Log every',
  cpoAlpha: 'CPO alpha',
  simpoGamma: 'SimPO gamma',
};

/** `optimizer.learningRate` → Learning rate. */
export function labelOf({ key, path }: Field): string {
  const korean = language() === 'ko' ? messages[`train_label_${key.replaceAll('.', '_')}`]?.() : undefined;
  return korean ?? LABELS[key] ?? sentence(path.at(-1)!.replace(/([A-Z])/g, ' $1').toLowerCase());
}

export function helpOf({ key, description }: Pick<Field, 'key' | 'description'>): string {
  const korean = language() === 'ko' ? messages[`train_help_${key.replaceAll('.', '_')}`]?.() : undefined;
  return korean ?? sentence(description);
}

/** `default 16 · 1 to 1,024`, as far as there is one. */
export function limitsOf(field: Field): string {
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = field.range;
  const low = minimum !== undefined ? `≥ ${formatNumber(minimum)}` : exclusiveMinimum !== undefined ? `> ${formatNumber(exclusiveMinimum)}` : '';
  const high = maximum !== undefined ? `≤ ${formatNumber(maximum)}` : exclusiveMaximum !== undefined ? `< ${formatNumber(exclusiveMaximum)}` : '';
  const range = minimum !== undefined && maximum !== undefined ? `${formatNumber(minimum)}–${formatNumber(maximum)}` : [low, high].filter(Boolean).join(', ');
  const standard = field.standard === undefined || field.kind === 'group' || field.kind === 'list' ? '' : m.train_default({ value: showValue(field.standard) });
  return [standard, range].filter(Boolean).join(' · ');
}

/** As it is typed: 2e-5, 1024. */
export function formatNumber(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);
}

export function showValue(value: unknown): string {
  if (typeof value === 'number') return formatNumber(value);
  if (typeof value === 'boolean') return value ? m.train_on() : m.train_off();
  return String(value);
}

export function tellProblem(problem: Problem): string {
  switch (problem.kind) {
    case 'syntax':
      return m.train_problem_syntax({ message: problem.message.split('\n')[0] });
    case 'missing':
      return m.train_problem_missing();
    case 'empty':
      return m.train_problem_empty();
    case 'not-fields':
      return m.train_problem_not_fields();
    case 'expected':
      return { number: m.train_problem_number, whole: m.train_problem_whole, text: m.train_problem_text, boolean: m.train_problem_boolean, list: m.train_problem_list, json: m.train_problem_json, fields: m.train_problem_fields }[problem.what]();
    case 'range':
      return { '≥': m.train_problem_at_least, '>': m.train_problem_more, '≤': m.train_problem_at_most, '<': m.train_problem_less }[problem.bound]({ limit: formatNumber(problem.limit) });
    case 'too-long':
      return m.train_problem_too_long({ limit: formatCount(problem.limit) });
    case 'choice':
      return m.train_problem_choice({ choices: problem.choices.join(', ') });
    case 'unknown':
      return problem.near ? m.train_problem_unknown_near({ name: problem.name, near: problem.near }) : m.train_problem_unknown({ name: problem.name });
    case 'other':
      return problem.message;
  }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
