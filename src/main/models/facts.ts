/**
 * What model folders say of themselves, asked of the engine once and kept: a folder is read again only when its files are others than before.
 * The folders of a hundred models cost a few stat calls each and no process.
 */
import type { ModelPath } from '../../shared/job.ts';
import type { FolderFacts } from '../../shared/job-results.ts';
import { getModelFacts, setModelFacts } from '../db/model-facts.ts';
import { askEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { stampsOf } from './stamps.ts';

/** Whose size and time tell whether a folder is as it was. */
const FILES = [
  'config.json', 'model.safetensors', 'model.safetensors.index.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja',
  'adapter_config.json', 'adapter_model.safetensors', 'score_head.json',
];

/** Raised when the engine tells more of a folder than before: what was kept is then asked for anew. 3: mixtures of experts, problems of chat templates. */
const TOLD = 3;

/** By folder, for all that are asked for. */
export async function readFacts({ db }: Library, folders: Iterable<string>): Promise<Map<string, FolderFacts>> {
  const facts = new Map<string, FolderFacts>();
  const unknown: { folder: string; stamp: string }[] = [];
  for (const folder of new Set(folders)) {
    const stamp = stampOf(folder);
    const known = getModelFacts(db, folder, stamp);
    if (known) facts.set(folder, known);
    else unknown.push({ folder, stamp });
  }
  if (unknown.length > 0) {
    const found = await askEngine<FolderFacts[]>({ type: 'describe', folders: unknown.map(({ folder }) => folder) });
    setModelFacts(db, unknown.map((each, i) => ({ ...each, facts: found[i] })));
    unknown.forEach(({ folder }, i) => facts.set(folder, found[i]));
  }
  return facts;
}

const stampOf = (folder: string): string => [TOLD, ...stampsOf(folder, FILES)].join(' ');

/** What a model scores; null of a language model, which writes texts. */
export async function readLabels(library: Library, { folder, adapter }: ModelPath): Promise<string[] | null> {
  const folders = [adapter, folder].filter((path) => path !== undefined);
  const facts = await readFacts(library, folders);
  return folders.map((path) => facts.get(path)?.labels).find(Boolean) ?? null;
}
