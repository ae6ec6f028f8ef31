/** Bringing models in by dialog or drop: each folder or GGUF file gets a name in the library; where the name is taken, another is asked for. */
import * as m from '../../paraglide/messages.js';
import { askText, choosePath, notify } from '../../state/prompts.svelte.ts';
import { api } from '../../state/workbench.svelte.ts';

/** Empty when cancelled. */
export async function chooseModel(): Promise<string[]> {
  const folder = await choosePath({ kind: 'folder', extensions: ['gguf'], title: m.library_add_title() });
  return folder === null ? [] : [folder];
}

/** Names of those that came in. */
export async function addModels(folders: string[]): Promise<string[]> {
  const { length: before } = folders;
  const names: string[] = [];
  const known = new Set(before > 0 ? (await api.models.list()).map(({ name }) => name) : []);
  for (const folder of folders) {
    const plain = folder.split(/[/\\]/).filter(Boolean).at(-1)!;
    const name = known.has(plain) ? await askText({ title: m.library_name_taken({ name: plain }), label: m.name(), value: `${plain}-2`, action: m.add(), check: (text) => (known.has(text) ? m.library_name_taken({ name: text }) : null) }) : plain;
    if (name === null) continue;
    const model = await api.models.add({ folder, name });
    known.add(model.name);
    names.push(model.name);
  }
  if (names.length > 0) notify('good', m.library_added({ names: names.join(', ') }));
  return names;
}
