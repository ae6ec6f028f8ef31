/**
 * What a GGUF file says of itself, as general.* keys, both ways (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#general-metadata), and what an
 * export says: what the person gave, before what is known of how it was made, before what its base says of itself.
 */
import type { About, Reference } from '../../shared/export-about.ts';
import type { ExportJob } from '../../shared/job.ts';
import { type GgufAbout, partsOf, sizeLabel } from './gguf-name.ts';
import { readGgufMetadata } from './gguf-reader.ts';
import type { GgufValue } from './gguf-tokenizer.ts';
import { isFile } from './write-beside.ts';

type Texts = { [K in keyof About]-?: About[K] extends string | undefined ? K : never }[keyof About];
/** Keys of texts, in gguf-py's order. */
const TEXTS: Record<Texts, string> = {
  author: 'author', version: 'version', organization: 'organization', description: 'description', quantizedBy: 'quantized_by', license: 'license', licenseName: 'license.name',
  licenseLink: 'license.link', url: 'url', doi: 'doi', uuid: 'uuid', repoUrl: 'repo_url', sourceUrl: 'source.url', sourceDoi: 'source.doi', sourceUuid: 'source.uuid', sourceRepoUrl: 'source.repo_url',
};
const REFERENCE: Record<keyof Reference, string> = {
  name: 'name', author: 'author', version: 'version', organization: 'organization', description: 'description', url: 'url', doi: 'doi', uuid: 'uuid', repoUrl: 'repo_url',
};
const entriesOf = <K extends string>(table: Record<K, string>): [K, string][] => Object.entries(table) as [K, string][];

export function aboutEntries(about: GgufAbout): [string, GgufValue][] {
  const { basename, finetune, version } = partsOf(about);
  const text = (key: string, value: string | null | undefined): [string, GgufValue][] => (value == null || value === '' ? [] : [[`general.${key}`, { string: value }]]);
  const references = (key: string, all: Reference[] = []): [string, GgufValue][] =>
    all.length === 0 ? [] : [[`general.${key}.count`, { u32: all.length }], ...all.flatMap((each, i) => entriesOf(REFERENCE).flatMap(([field, name]) => text(`${key}.${i}.${name}`, each[field])))];
  const { tags = [], languages = [] } = about;
  return [
    ...text('name', about.name),
    ...text('basename', basename),
    ...text('finetune', finetune),
    ...text('size_label', sizeLabel(about)),
    ...entriesOf(TEXTS).flatMap(([field, key]) => text(key, field === 'version' ? version : about[field])),
    ...references('base_model', about.baseModels),
    ...references('dataset', about.datasets),
    ...(tags.length > 0 ? [['general.tags', { strings: tags }] satisfies [string, GgufValue]] : []),
    ...(languages.length > 0 ? [['general.languages', { strings: languages }] satisfies [string, GgufValue]] : []),
  ];
}

/** What is of another type than the format says is left out. */
export function readAbout(metadata: Map<string, unknown>): About {
  const about: About = {};
  const text = (key: string): string | undefined => {
    const value = metadata.get(`general.${key}`);
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  for (const [field, key] of entriesOf(TEXTS)) if (text(key) !== undefined) about[field] = text(key);
  for (const field of ['tags', 'languages'] as const) {
    const value = metadata.get(`general.${field}`);
    if (Array.isArray(value) && value.every((each) => typeof each === 'string')) about[field] = value;
  }
  for (const [field, key] of [['baseModels', 'base_model'], ['datasets', 'dataset']] as const) {
    const count = metadata.get(`general.${key}.count`);
    const found: Reference[] = [];
    for (let i = 0; typeof count === 'number' && i < Math.min(count, 1000); i++) {
      const each = Object.fromEntries(entriesOf(REFERENCE).flatMap(([name, part]) => (text(`${key}.${i}.${part}`) === undefined ? [] : [[name, text(`${key}.${i}.${part}`)!]])));
      if (Object.keys(each).length > 0) found.push(each);
    }
    if (found.length > 0) about[field] = found;
  }
  return about;
}

/** What of its base's words a model has that was trained on it; the rest is said of the base. */
const INHERITED = ['license', 'licenseName', 'licenseLink', 'languages'] as const;

export async function aboutOf({ name, about: { baseName, base, method, datasets, stated, given } }: Pick<ExportJob, 'name' | 'about'>): Promise<About> {
  const carried = base.endsWith('.gguf') && (await isFile(base)) ? readAbout(await readGgufMetadata(base)) : {};
  const said: About = { ...carried, ...stated };
  const task = method === 'reward' || method === 'classify' ? 'text-classification' : 'text-generation';
  const tags = [...(given.tags ?? []), 'attune', ...(method === null ? [] : [method]), task];
  if (given.license !== undefined) for (const key of INHERITED.slice(0, 3)) delete said[key];
  if (method === null) return { ...said, ...given, tags: unique([...(said.tags ?? []), ...tags]) };
  const { author, version, organization, description, doi, uuid } = said;
  const reference: Reference = { name: baseName, author, version, organization, description, url: said.url ?? said.sourceUrl, doi, uuid, repoUrl: said.repoUrl ?? said.sourceRepoUrl };
  return {
    ...Object.fromEntries(INHERITED.flatMap((key) => (said[key] === undefined ? [] : [[key, said[key]]]))),
    ...given,
    tags: unique(tags),
    ...(baseName === name ? {} : { baseModels: [Object.fromEntries(Object.entries(reference).filter(([, value]) => value !== undefined))] }),
    ...(datasets.length > 0 ? { datasets: datasets.map((name) => ({ name })) } : {}),
  };
}

const unique = (all: string[]): string[] => [...new Set(all)];
