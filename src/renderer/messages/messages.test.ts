/** Both languages say the same things: every key, with the same inputs. What a missing one would do is show English in the middle of Korean. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const folder = (locale: string) => join(import.meta.dirname, locale);
const read = (locale: string, file: string) => JSON.parse(readFileSync(join(folder(locale), file), 'utf8')) as Record<string, unknown>;
const inputs = (message: unknown): string[] => [...new Set([...JSON.stringify(message).matchAll(/\{(\w+)\}/g)].map(([, name]) => name))].sort();

test.each(readdirSync(folder('en')))('%s has the same messages with the same inputs in English and Korean', (file) => {
  const [en, ko] = [read('en', file), read('ko', file)];
  // what the recipe's fields are called and do is said in English by the schema itself (shared/recipe.ts)
  for (const key of Object.keys(ko)) if (/^train_(?:label|help)_/.test(key) && !(key in en)) delete ko[key];
  expect(Object.keys(ko).sort()).toEqual(Object.keys(en).sort());
  for (const [key, message] of Object.entries(en)) expect([key, inputs(ko[key])]).toEqual([key, inputs(message)]);
});

test('no key stands in two files: the messages of all files are one set', () => {
  const keys = readdirSync(folder('en')).flatMap((file) => Object.keys(read('en', file)));
  expect(keys.filter((key, i) => keys.indexOf(key) !== i)).toEqual([]);
});
