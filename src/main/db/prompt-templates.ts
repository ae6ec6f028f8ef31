/** Table `prompt_templates`: prompts with places to fill, kept by a name for every model. */
import { PromptTemplate } from '../../shared/prompt-template.ts';
import type { Database } from './database.ts';

/** By name. */
export function listPromptTemplates(db: Database): PromptTemplate[] {
  const rows = db.prepare('select name, body from prompt_templates order by name').all() as { name: string; body: string }[];
  return rows.map(({ name, body }) => PromptTemplate.parse({ ...(JSON.parse(body) as object), name }));
}

/** In place of one of the same name. */
export function putPromptTemplate(db: Database, { name, ...body }: PromptTemplate): void {
  db.prepare('insert or replace into prompt_templates (name, body) values (?, ?)').run(name, JSON.stringify(body));
}

export function deletePromptTemplate(db: Database, name: string): void {
  db.prepare('delete from prompt_templates where name = ?').run(name);
}
