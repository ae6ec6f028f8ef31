/** The way into an import: files chosen or dropped, one after the other through the mapping step. What is still to come is in the address too. */
import * as m from '../../paraglide/messages.js';
import { choosePath } from '../../state/prompts.svelte.ts';
import { go } from '../../state/route.svelte.ts';

export function openImport([path, ...rest]: string[]): void {
  go('datasets', ['import'], { path, ...(rest.length > 0 && { then: JSON.stringify(rest) }) });
}

export async function chooseImport(): Promise<void> {
  const path = await choosePath({ kind: 'file', title: m.datasets_import_title(), extensions: ['jsonl', 'json', 'ndjson', 'csv', 'tsv', 'parquet', 'txt', 'md', 'gz'] });
  if (path !== null) openImport([path]);
}
