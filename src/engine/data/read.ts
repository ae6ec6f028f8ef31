/** Example rows from the JSONL files that main froze for a job, streamed. Not for files from outside: main's import reads those. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Example } from '../../shared/dataset.ts';

export async function* readExamples(path: string): AsyncGenerator<Example, void, void> {
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
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
