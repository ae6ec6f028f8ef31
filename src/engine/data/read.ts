/** Example rows from the JSONL files that main froze for a job, streamed. Not for files from outside: main's import reads those. */
import { createReadStream } from 'node:fs';
import { Example } from '../../shared/dataset.ts';

export async function* readExamples(path: string): AsyncGenerator<Example, void, void> {
  let line = 0;
  for await (const text of readLines(path)) {
    line++;
    if (text.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new Error(`${path}:${line}: not JSON (${(error as Error).message}): import the file again`, { cause: error });
    }
    const parsed = Example.safeParse(value);
    if (!parsed.success) throw new Error(`${path}:${line}: ${parsed.error.issues[0].path.join('.')}: ${parsed.error.issues[0].message}: import the file again`);
    yield parsed.data;
  }
}

/** Lines end at "\n" only: node:readline also splits at U+2028 and U+2029, which JSON text may hold. */
async function* readLines(path: string): AsyncGenerator<string, void, void> {
  let rest = '';
  for await (const chunk of createReadStream(path, { encoding: 'utf8' })) {
    const lines = (rest + (chunk as string)).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== '') yield rest;
}
