/** Prompt templates kept by a name, for the window and for `attune sample --prompt-template`. A conversation holds a copy: changing one does not change the other. */
import type { PromptTemplate } from '../../shared/prompt-template.ts';
import type { Changes } from '../changes.ts';
import { deletePromptTemplate, listPromptTemplates, putPromptTemplate } from '../db/prompt-templates.ts';
import type { Library } from '../library.ts';
import { UserError } from '../user-error.ts';

export function templatesOf({ library }: { library: Library }): PromptTemplate[] {
  return listPromptTemplates(library.db);
}

/** In place of one of the same name. */
export function saveTemplate({ library, changes }: { library: Library; changes: Changes }, template: PromptTemplate): void {
  putPromptTemplate(library.db, template);
  changes.tell('playground');
}

export function removeTemplate({ library, changes }: { library: Library; changes: Changes }, { name }: { name: string }): void {
  deletePromptTemplate(library.db, name);
  changes.tell('playground');
}

/** Throws with the names there are. */
export function findTemplate(library: Library, name: string): PromptTemplate {
  const templates = listPromptTemplates(library.db);
  const found = templates.find((template) => template.name === name);
  if (found) return found;
  const names = templates.map((template) => template.name).join(', ');
  throw new UserError(`--prompt-template ${name}: there is none of this name${names === '' ? ': keep one with --save-prompt, or in the playground' : `: there are ${names}`}`);
}
