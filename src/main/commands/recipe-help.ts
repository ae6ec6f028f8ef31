/** The recipe's fields as help text, read off shared/recipe.ts: name, default, one line each. Nothing about a field stands here. */
import type { z } from 'zod';
import { Lora, Recipe } from '../../shared/recipe.ts';

export function recipeHelp(): string {
  const schemas = Recipe.options as z.ZodObject[];
  const methods = Recipe.options.map(({ shape }) => shape.method.value as string);
  const common = Object.keys(schemas[0].shape).filter((name) => schemas.every(({ shape }) => name in shape) && name !== 'method');
  const own = (schema: z.ZodObject) => Object.keys(schema.shape).filter((name) => !common.includes(name) && name !== 'method');
  return [
    `Fields of every recipe (method: ${methods.slice(0, -1).join(', ')} or ${methods.at(-1)}):`,
    ...common.flatMap((name) => lines(schemas[0].shape, name)),
    ...schemas.flatMap((schema, i) => [
      `Fields of ${methods[i]}:`,
      ...own(schema).flatMap((name) => lines(schema.shape, name)),
    ]),
  ].join('\n');
}

type Field = z.ZodType & { unwrap?: () => Field; shape?: z.ZodRawShape; def: { defaultValue?: unknown; /** of a field that takes more than one spelling */ out?: Field } };

function lines(shape: z.ZodRawShape, name: string, indent = '  '): string[] {
  const field = shape[name] as unknown as Field;
  let inner = field;
  while (inner.unwrap && !inner.shape) inner = inner.unwrap();
  const nested = name === 'lora' ? Lora.shape : inner.shape;
  const standard = (field.def.out ?? field).def.defaultValue;
  const value = nested && standard !== null ? '' : standard === undefined ? (field.safeParse(undefined).success ? '' : 'required') : show(standard);
  const head = `${indent}${name.padEnd(30 - indent.length)} ${value.padEnd(10)} ${field.description ?? ''}`.trimEnd();
  return nested ? [head, ...Object.keys(nested).flatMap((key) => lines(nested, key, `${indent}  `))] : [head];
}

function show(value: unknown): string {
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
}
