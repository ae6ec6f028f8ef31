/** Options that several commands share, made from the shared schemas so that help, ranges and defaults stand in one place. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { z } from 'zod';
import { Template } from '../../shared/dataset.ts';
import { Sampling } from '../../shared/sampling.ts';
import type { Model } from '../models/index.ts';
import { explainIssues } from '../schema-errors.ts';
import { UserError } from '../user-error.ts';

export type MachineOptions = { device: 'native' | 'reference'; threads: number };

export function addMachineOptions(command: Command): Command {
  return command
    .addOption(new Option('--device <device>', 'what computes: native kernels, or the slow reference').choices(['native', 'reference']).default('native'))
    .option('--threads <n>', 'threads; 0 is all cores. The result is the same with any number', parseCount, 0);
}

export function addTemplateOption(command: Command): Command {
  return command.addOption(
    new Option('--template <template>', "prompt format; by default the one the model was trained with, or its own chat template").choices(Template.options),
  );
}

/** --temperature, --top-k … from the sampling schema; --greedy besides. */
export function addSamplingOptions(command: Command, defaults: Partial<Sampling> = {}): Command {
  const standard = { ...Sampling.parse({}), ...defaults };
  command.option('--greedy', 'always the likeliest token (temperature 0)');
  for (const [name, field] of Object.entries(Sampling.shape)) {
    const flag = `--${kebab(name)}`;
    const value = standard[name as keyof Sampling];
    const help = describe(field);
    if (name === 'stop') command.option(`${flag} <text>`, `${help}; may be given again`, (text: string, before: string[] = []) => [...before, text]);
    else if (typeof value === 'boolean') command.option(flag, help);
    else if (typeof value === 'string') command.addOption(new Option(`${flag} <name>`, help).choices(Sampling.shape.filterOrder.unwrap().options).default(value));
    else command.option(`${flag} <n>`, help, parseNumber, value as number);
  }
  return command;
}

export function readSampling(options: object & { greedy?: boolean }): Sampling {
  const names = Object.keys(Sampling.shape);
  const given = Object.fromEntries(Object.entries(options).filter(([name, value]) => names.includes(name) && value !== undefined));
  const value = options.greedy ? { ...given, temperature: 0 } : given;
  const parsed = Sampling.safeParse(value);
  if (parsed.success) return parsed.data;
  const sentences = explainIssues(parsed.error, value, Sampling);
  throw new UserError(sentences.map((sentence) => sentence.replace(/^(\w+)/, (name) => `--${kebab(name)}`)).join('\n'));
}

/** What was typed on the command line, defaults left out. */
export function typedOptions(command: Command): Record<string, unknown> {
  return Object.fromEntries(Object.entries(command.opts()).filter(([name]) => command.getOptionValueSource(name) === 'cli'));
}

export function readTemplate(options: { template?: Template }, model: Model): Template {
  return options.template ?? model.template;
}

export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Expected a number.');
  return value;
}

export function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Expected a whole number, 0 or more.');
  return Number(text);
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function describe(field: z.ZodType): string {
  return field.description ?? '';
}
