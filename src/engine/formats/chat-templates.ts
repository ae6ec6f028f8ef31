/**
 * The chat templates beside a tokenizer: the one of every conversation, and those of some purpose under their names (tool_use, rag). As in transformers chat_template.jinja
 * and additional_chat_templates/NAME.jinja win over tokenizer_config.json, whose own is a text or a list of named ones. What a template does is tokenizer/'s.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** `namedTemplates`: of other names than the default. */
export type ChatTemplates = { chatTemplate: string | null; namedTemplates: Record<string, string> };

/** @param settings tokenizer_config.json */
export async function readChatTemplates(folder: string, settings: Record<string, unknown> | null): Promise<ChatTemplates> {
  const place = join(folder, 'additional_chat_templates');
  const names = (await readdir(place).catch(() => [])).filter((name) => name.endsWith('.jinja')).sort();
  const files = await Promise.all(names.map(async (name) => [name.slice(0, -'.jinja'.length), await readFile(join(place, name), 'utf8')] as const));
  const listed = listedTemplates(settings?.chat_template);
  const chatTemplate = await readFile(join(folder, 'chat_template.jinja'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return listed.chatTemplate;
    throw new Error(`cannot read ${join(folder, 'chat_template.jinja')}: ${error.message}`, { cause: error });
  });
  return { chatTemplate, namedTemplates: files.length > 0 ? Object.fromEntries(files) : listed.namedTemplates };
}

/** A list without one called default begins with it. What is neither text nor list is none. */
function listedTemplates(template: unknown): ChatTemplates {
  if (typeof template === 'string') return { chatTemplate: template, namedTemplates: {} };
  const all = (Array.isArray(template) ? (template as ({ name?: unknown; template?: unknown } | null)[]) : []).flatMap((entry) =>
    typeof entry?.name === 'string' && typeof entry.template === 'string' ? [[entry.name, entry.template] as const] : [],
  );
  const usual = all.find(([name]) => name === 'default') ?? all[0];
  return { chatTemplate: usual?.[1] ?? null, namedTemplates: Object.fromEntries(all.filter((entry) => entry !== usual)) };
}
