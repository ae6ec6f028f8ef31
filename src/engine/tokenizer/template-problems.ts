/**
 * What is wrong with a model's chat template, told before anything is trained or asked: of a folder's small files and its list of special
 * tokens, without building its tokenizer. The checks themselves are chat-template.ts's.
 */
import { join } from 'node:path';
import type { TemplateProblem } from '../../shared/dataset.ts';
import { readChatTemplates } from '../formats/chat-templates.ts';
import { readGgufMetadata } from '../formats/gguf-reader.ts';
import { readVocabulary } from '../formats/gguf-vocabulary.ts';
import { readJsonFile } from '../formats/json.ts';
import { compileChatTemplate, type TemplateTokens } from './chat-template.ts';
import { namedTokensOf } from './tokenizer.ts';

type Added = { content?: unknown; special?: unknown };

/** Empty where the template is sound, and where there is none. @param folder a model's folder, or a GGUF file */
export async function findTemplateProblems(folder: string): Promise<TemplateProblem[]> {
  const { template, config, added } = await (folder.endsWith('.gguf') ? readGguf(folder) : readFolder(folder));
  if (template === null) return [];
  const namedTokens = namedTokensOf(config);
  const special = added.filter((token) => token?.special === true && typeof token.content === 'string').map(({ content }) => content as string);
  const tokens: TemplateTokens = { specialTokens: [...new Set([...special, ...Object.values(namedTokens)])], namedTokens, eosIds: [], token: () => '' };
  try {
    return compileChatTemplate(template, tokens).problems.map(({ kind }) => kind);
  } catch {
    return ['fails'];
  }
}

type Files = { template: string | null; config: Record<string, unknown>; added: Added[] };

async function readFolder(folder: string): Promise<Files> {
  const [settings, special] = await Promise.all(['tokenizer_config.json', 'special_tokens_map.json'].map((name) => readJsonFile(join(folder, name), true)));
  const { chatTemplate: template } = await readChatTemplates(folder, settings);
  const config = { ...special, ...settings };
  if (template === null) return { template, config, added: [] };
  const listed = config.added_tokens_decoder;
  if (typeof listed === 'object' && listed !== null) return { template, config, added: Object.values(listed) as Added[] };
  const { added_tokens: added } = (await readJsonFile(join(folder, 'tokenizer.json'), true)) ?? {};
  return { template, config, added: Array.isArray(added) ? (added as Added[]) : [] };
}

async function readGguf(path: string): Promise<Files> {
  const { json, config, chatTemplate } = readVocabulary(await readGgufMetadata(path), path);
  return { template: chatTemplate, config, added: (json.added_tokens ?? []) as Added[] };
}
