/**
 * What is asked of the person in between: yes or no (`confirm`), a line of text (`askText`), a path of this machine (`choosePath`), and short notices
 * (`notify`). Each is a promise; App shows them one at a time.
 */
import { api, workbench } from './workbench.svelte.ts';

export type Confirmation = { title: string; text: string; /** what goes, what stays */ details?: string[]; action: string; danger?: boolean };
export type TextQuestion = { title: string; label: string; value?: string; action: string; /** a sentence when the text will not do */ check?: (text: string) => string | null };
/** A `folder` with `extensions` may be a file of one of these as well. */
export type PathQuestion = { kind: 'file' | 'folder' | 'save'; title: string; defaultName?: string; extensions?: string[] };
export type Notice = { id: number; tone: 'good' | 'bad' | 'info'; text: string; action?: { label: string; run: () => void } };

class Prompts {
  confirmation = $state.raw<(Confirmation & { answer: (yes: boolean) => void }) | null>(null);
  text = $state.raw<(TextQuestion & { answer: (text: string | null) => void }) | null>(null);
  path = $state.raw<(PathQuestion & { answer: (path: string | null) => void }) | null>(null);
  notices = $state.raw<Notice[]>([]);
}
export const prompts = new Prompts();

export function confirm(question: Confirmation): Promise<boolean> {
  return new Promise((resolve) => {
    prompts.confirmation = { ...question, answer: (yes) => ((prompts.confirmation = null), resolve(yes)) };
  });
}

/** null when cancelled. */
export function askText(question: TextQuestion): Promise<string | null> {
  return new Promise((resolve) => {
    prompts.text = { ...question, answer: (text) => ((prompts.text = null), resolve(text)) };
  });
}

/** The system's dialog where there is one that can, else the workbench's own; null when cancelled. */
export function choosePath(question: PathQuestion): Promise<string | null> {
  const either = question.kind === 'folder' && question.extensions !== undefined; // the systems' dialogs choose folders or files, not both
  if (workbench.about?.shell.fileDialogs && !either) return api.files.choose(question);
  return new Promise((resolve) => {
    prompts.path = { ...question, answer: (path) => ((prompts.path = null), resolve(path)) };
  });
}

let lastNotice = 0;

/** Good and plain notices go by themselves; a bad one stays until dismissed. */
export function notify(tone: Notice['tone'], text: string, action?: Notice['action']): void {
  const id = ++lastNotice;
  prompts.notices = [...prompts.notices.slice(-3), { id, tone, text, action }];
  if (tone !== 'bad') setTimeout(() => dismissNotice(id), action ? 10_000 : 5000);
}

export function dismissNotice(id: number): void {
  prompts.notices = prompts.notices.filter((notice) => notice.id !== id);
}

/** Runs what a person asked for; when main refuses, its sentence is shown. Undefined then. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    notify('bad', (error as Error).message);
    return undefined;
  }
}
