/** `--author`, `--license` …: what a person says of an export, from the shared schema. */
import type { Command } from 'commander';
import { GivenAbout } from '../../shared/export-about.ts';
import { explainIssues } from '../schema-errors.ts';
import { UserError } from '../user-error.ts';

/** --version is the program's own. */
const nameOf = (field: string): string => (field === 'version' ? 'modelVersion' : field);
const flagOf = (field: string): string => `--${nameOf(field).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
const isList = (field: string): boolean => field === 'languages' || field === 'tags';

export type AboutOptions = Record<string, unknown>;

export function addAboutOptions(command: Command): Command {
  for (const [field, schema] of Object.entries(GivenAbout.shape)) command.option(`${flagOf(field)} <${isList(field) ? 'list' : 'text'}>`, schema.description ?? '');
  return command;
}

export function readAbout(options: AboutOptions): GivenAbout {
  const value = Object.fromEntries(Object.keys(GivenAbout.shape).flatMap((field) => {
    const given = options[nameOf(field)];
    return typeof given === 'string' ? [[field, isList(field) ? given.split(',').map((each) => each.trim()).filter(Boolean) : given]] : [];
  }));
  const parsed = GivenAbout.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new UserError(explainIssues(parsed.error, value, GivenAbout).map((sentence) => sentence.replace(/^(\w+)/, flagOf)).join('\n'));
}
