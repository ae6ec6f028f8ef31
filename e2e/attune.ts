/**
 * The command line as the end-to-end tests start it: a process of its own, a library of its own, streams and exit code as a shell sees them.
 * Not a test; it names the small models of fixtures/ that the tests train.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { stringify } from 'yaml';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CLI = join(ROOT, 'src', 'main', 'cli.ts');

export type Outcome = { code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string };

export type Workplace = {
  folder: string;
  library: string;
  /** Runs `attune ARGS…` in the folder to its end. */
  attune(args: string[], options?: { env?: NodeJS.ProcessEnv; input?: string }): Promise<Outcome>;
  /** Starts it and hands the process over. */
  start(args: string[], env?: NodeJS.ProcessEnv): { child: ChildProcess; outcome: Promise<Outcome> };
  write(name: string, content: string | object): string;
  remove(): void;
};

export function createWorkplace(): Workplace {
  const folder = mkdtempSync(join(tmpdir(), 'attune-e2e-'));
  const library = join(folder, 'library');
  const start: Workplace['start'] = (args, env = {}) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', CLI, ...args], {
      cwd: folder,
      env: { ...process.env, ATTUNE_HOME: library, NO_COLOR: '1', ATTUNE_LLAMA_CPP: '', ...env },
    });
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (text: string) => (texts[name] += text));
    const outcome = new Promise<Outcome>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => resolve({ code, signal, ...texts }));
    });
    return { child, outcome };
  };
  return {
    folder,
    library,
    start,
    attune(args, { env, input } = {}) {
      const { child, outcome } = start(args, env);
      child.stdin!.end(input ?? '');
      return outcome;
    },
    write(name, content) {
      const path = join(folder, name);
      writeFileSync(path, typeof content === 'string' ? content : stringify(content));
      return path;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Trains by a recipe on a device, to its end: the loss of every step. */
export async function trainLosses(workplace: Workplace, recipe: object, device: string): Promise<number[]> {
  const { code, stdout, stderr } = await workplace.attune(['train', workplace.write('recipe.yaml', recipe), '--device', device, '--json-lines']);
  expect(code, stderr).toBe(0);
  const lines = stdout.trim().split('\n').map((line) => JSON.parse(line) as { type: string; values?: { loss?: number } });
  return lines.filter(({ type }) => type === 'progress').map(({ values }) => values!.loss!);
}

/** Rows in Alpaca's form, short and all different. */
export function alpacaRows(count: number): string {
  const words = ['river', 'stone', 'cloud', 'bread', 'horse', 'music', 'paper', 'light'];
  const rows = Array.from({ length: count }, (_, i) => ({ instruction: `Say ${words[i % 8]} ${i}.`, input: '', output: `${words[(i * 3) % 8]} ${i}` }));
  return rows.map((row) => JSON.stringify(row)).join('\n') + '\n';
}

export function preferenceRows(count: number): string {
  const rows = Array.from({ length: count }, (_, i) => ({ prompt: `Name thing ${i}.`, chosen: `Thing ${i}.`, rejected: `thing thing ${i} is a thing` }));
  return rows.map((row) => JSON.stringify(row)).join('\n') + '\n';
}

/** A copy of the tiny Llama of fixtures/ (128 tokens, ASCII; it knows nothing) in the workplace: its folder. */
export function tinyModel(workplace: Workplace): string {
  const folder = join(workplace.folder, 'tiny');
  cpSync(join(ROOT, 'fixtures', 'models', 'llama'), folder, { recursive: true, filter: (path) => !basename(path).startsWith('expected') });
  return folder;
}
