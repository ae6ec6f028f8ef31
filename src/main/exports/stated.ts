/**
 * What a model folder says of itself: the front matter of its README.md as Hugging Face has it, with the further keys that llama.cpp's converter reads
 * (author, organization, url …, with or without `model_` before them), and its licence file. Cards are written by hand: what is no YAML, or of
 * another type, states nothing. A GGUF file states the same in its own keys, which the engine reads.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { About, Reference } from '../../shared/export-about.ts';

/** By the first words of their texts; the names are Hugging Face's. */
const TEXTS: [start: RegExp, name: string][] = [
  [/^\s*Apache License\s+Version 2\.0/, 'apache-2.0'], [/^\s*(The )?MIT License/i, 'mit'], [/^\s*LLAMA 2 COMMUNITY/i, 'llama2'], [/^\s*META LLAMA 3 COMMUNITY/i, 'llama3'],
  [/^\s*LLAMA 3\.1 COMMUNITY/i, 'llama3.1'], [/^\s*LLAMA 3\.2 COMMUNITY/i, 'llama3.2'], [/^\s*Gemma Terms of Use/i, 'gemma'],
];

/** Keys of a card, the likelier first. */
const KEYS = {
  author: ['author', 'model_author', 'model_creator'], version: ['version', 'model_version'], organization: ['organization', 'model_organization'],
  description: ['description', 'model_description'], license: ['license'], licenseName: ['license_name'], licenseLink: ['license_link'],
  sourceUrl: ['url', 'model_url'], sourceDoi: ['doi', 'model_doi'], sourceUuid: ['uuid', 'model_uuid'], sourceRepoUrl: ['repo_url', 'model_repo_url'], quantizedBy: ['quantized_by'],
} as const;

/** @param folder of weights; of a GGUF file, or what is gone, nothing is said */
export function statedBy(folder: string): About {
  const read = (name: string): string => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8') : '');
  const card = frontMatter(read('README.md').replaceAll('\r\n', '\n'));
  const about: About = {};
  for (const [field, names] of Object.entries(KEYS) as [keyof typeof KEYS, readonly string[]][]) {
    const value = names.map((name) => text(card[name])).find((found) => found !== undefined);
    if (value !== undefined) about[field] = value;
  }
  for (const [field, names] of [['languages', ['languages', 'language']], ['tags', ['tags', 'pipeline_tag']]] as const) {
    const found = names.flatMap((name) => texts(card[name]));
    if (found.length > 0) about[field] = [...new Set(found)];
  }
  for (const [field, names] of [['baseModels', ['base_model', 'base_models', 'base_model_sources']], ['datasets', ['datasets', 'dataset', 'dataset_sources']]] as const) {
    const found = texts(names.map((name) => card[name]).find((value) => value != null)).map(reference);
    if (found.length > 0) about[field] = found;
  }
  if (about.license === undefined) {
    const license = ['LICENSE', 'LICENSE.txt', 'LICENSE.md'].map(read).find((found) => found !== '');
    if (license !== undefined) about.license = TEXTS.find(([start]) => start.test(license))?.[1] ?? 'other';
  }
  return about;
}

function frontMatter(text: string): Record<string, unknown> {
  const [, front] = /^---\n([\s\S]*?)\n---/.exec(text) ?? [];
  try {
    const card: unknown = front === undefined ? null : parse(front);
    return typeof card === 'object' && card !== null && !Array.isArray(card) ? (card as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Several licences stand with commas between them, as in GGUF. */
function text(value: unknown): string | undefined {
  if (Array.isArray(value)) return text(texts(value).join(','));
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined;
}

const texts = (value: unknown): string[] => [value].flat().flatMap((each) => (typeof each === 'number' || typeof each === 'string' ? (text(each) ?? []) : []));

/** `org/name`, or an address, of Hugging Face as a rule. */
function reference(id: string): Reference {
  const isAddress = /^(https?|ssh):\/\//.test(id);
  const [, organization, name] = /^(?:https?:\/\/huggingface\.co\/)?([^/\s.][^/\s]*)\/([^/\s]+)$/.exec(id) ?? [];
  if (organization === undefined || name === undefined) return isAddress ? { repoUrl: id } : { name: titled(id) };
  return { name: titled(name), organization: titled(organization), repoUrl: isAddress ? id : `https://huggingface.co/${id}` };
}

/** As gguf-py writes them: words of small letters begin with a capital. */
const titled = (id: string): string => id.replaceAll('-', ' ').split(/\s+/).filter(Boolean)
  .map((word) => (word === word.toLowerCase() && /\p{L}/u.test(word) && !/^(v\d+(\.\d+)*|\d.*)$/.test(word) ? word.replace(/\p{L}+/gu, (part) => part[0]!.toUpperCase() + part.slice(1)) : word)).join(' ');
