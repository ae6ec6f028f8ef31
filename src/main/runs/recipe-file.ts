/**
 * Reads a recipe file (YAML, of which JSON is a part) and says what is wrong with it: file, field, what was expected and what came.
 * Fields, ranges and defaults are shared/recipe.ts's; nothing of them is repeated here.
 */
import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import { Recipe } from '../../shared/recipe.ts';
import { explainIssues } from '../schema-errors.ts';
import { UserError } from '../user-error.ts';

const BY_METHOD = new Map<unknown, (typeof Recipe.options)[number]>(Recipe.options.map((schema) => [schema.shape.method.value, schema]));

export function readRecipe(file: string): Recipe {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UserError(`${file}: the recipe cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const document = parseDocument(text);
  if (document.errors.length > 0) throw new UserError(`${file}: not YAML: ${document.errors[0].message.split('\n')[0]}`);
  return parseRecipe(document.toJS(), file);
}

/** `where` is what error sentences begin with. */
export function parseRecipe(value: unknown, where: string): Recipe {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UserError(`${where}: expected fields such as "method: sft", got ${Array.isArray(value) ? 'a list' : JSON.stringify(value)}`);
  }
  const { method } = value as { method?: unknown };
  const schema = BY_METHOD.get(method);
  if (!schema) {
    throw new UserError(`${where}: method: expected ${[...BY_METHOD.keys()].join(', ')}, got ${method === undefined ? 'nothing' : JSON.stringify(method)}`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new UserError(explainIssues(parsed.error, value, schema).map((sentence) => `${where}: ${sentence}`).join('\n'));
}
