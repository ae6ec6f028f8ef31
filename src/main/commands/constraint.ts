/** --choices, --regex, --schema and --grammar: what an answer must be, from the command line to the contract's shape. */
import { type Command, Option } from 'commander';
import { readFileSync } from 'node:fs';
import { Constraint } from '../../shared/constraint.ts';
import { UserError } from '../user-error.ts';

export type ConstraintFlags = { choices?: string; regex?: string; schema?: string; grammar?: string; after?: string; repair?: boolean };

const KINDS = ['choices', 'regex', 'schema', 'grammar'];
const others = (kind: string): string[] => KINDS.filter((other) => other !== kind);

export function addConstraintOptions(command: Command): Command {
  return command
    .addOption(new Option('--choices <a,b,c>', 'the answer is one of these; a JSON list where they hold commas').conflicts(others('choices')))
    .addOption(new Option('--regex <pattern>', 'the answer matches this regular expression as a whole').conflicts(others('regex')))
    .addOption(new Option('--schema <file>', 'the answer is JSON that meets this JSON Schema (draft 2020-12 or 7)').conflicts(others('schema')))
    .addOption(new Option('--grammar <file>', 'the answer is a sentence of this grammar (GBNF, or EBNF as the W3C writes it)').conflicts(others('grammar')))
    .option('--after <text>', 'with one of these: free text first, up to and with this, as </think>')
    .option('--repair', 'with --schema: sample freely, and mend what is not JSON');
}

export function readConstraint({ choices, regex, schema, grammar, after, repair }: ConstraintFlags): Constraint | undefined {
  if (repair && schema === undefined) throw new UserError('--repair goes with --schema: only JSON is mended');
  if (choices !== undefined) return check({ type: 'choices', choices: readChoices(choices), after }, '--choices');
  if (regex !== undefined) return check({ type: 'regex', pattern: regex, after }, '--regex');
  if (schema !== undefined) return check({ type: 'jsonSchema', schema: readJson(schema), enforce: repair ? 'repair' : 'mask', after }, schema);
  if (grammar !== undefined) return check({ type: 'grammar', grammar: readText(grammar), after }, grammar);
  if (after !== undefined) throw new UserError('--after goes with --choices, --regex, --schema or --grammar: it says where they begin');
  return undefined;
}

function check(value: unknown, where: string): Constraint {
  const parsed = Constraint.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new UserError(`${where}: ${parsed.error.issues[0].message}`);
}

function readChoices(text: string): unknown {
  if (!text.startsWith('[')) return text.split(',').map((choice) => choice.trim());
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`--choices begins with [ and is no JSON list: ${(error as Error).message}`);
  }
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readText(path));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path} is not JSON: ${(error as Error).message}`);
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${(error as Error).message}`);
  }
}
