/**
 * The model card of an export: README.md in its folder, in the layout Hugging Face reads. What it is, what it was made from and how, what
 * became of it when it was checked, and how others load it. A README.md that somebody else wrote is left alone.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import type { LlamaCpp, Parity } from '../../shared/api/exports.ts';
import type { About, Reference } from '../../shared/export-about.ts';
import type { ExportRow } from '../db/exports.ts';
import type { RunRow } from '../db/runs.ts';
import type { Library } from '../library.ts';
import { isAdapterFormat, isGgufType } from './formats.ts';
import { type Origin, originOf, runOf } from './origin.ts';

const MARK = '<!-- model card written by Attune -->';

/** @param into where the export's files are: its folder, once it is whole */
export function writeCard(library: Library, row: ExportRow, into = row.folder): void {
  if (canWriteCard(into)) writeFileSync(join(into, 'README.md'), card(library, row));
}

/** Whether there is no README.md, or one of ours. */
export function canWriteCard(folder: string): boolean {
  const path = join(folder, 'README.md');
  return !existsSync(path) || readFileSync(path, 'utf8').includes(MARK);
}

/** Null when the folder has none of ours. */
export function readCard({ folder }: Pick<ExportRow, 'folder'>): string | null {
  const path = join(folder, 'README.md');
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return text.includes(MARK) ? text : null;
}

function card(library: Library, row: ExportRow): string {
  const run = runOf(library, row.model);
  const origin = originOf(library, row.model, row.source.path.folder);
  const about = row.source.about ?? origin.stated;
  const front = {
    ...frontOf(about),
    ...(run && about.baseModels ? { base_model_relation: isAdapterFormat(row.format) ? 'adapter' : isGgufType(row.dtype) ? 'quantized' : 'finetune' } : {}),
    library_name: { safetensors: 'transformers', peft: 'peft', gguf: 'gguf', 'lora-gguf': 'gguf' }[row.format],
    pipeline_tag: scores(run) ? 'text-classification' : 'text-generation',
  };
  const parts = [
    `---\n${stringify(front)}---\n${MARK}`,
    `# ${row.model}`,
    ...(about.description === undefined ? [] : [about.description]),
    sentence(row, run),
    ...(run ? trainingText(run, row, origin) : []),
    licenseText(about, origin, run),
    ...notesText(row),
    `## Files\n\n${table([['file', 'bytes', 'SHA-256'], ...row.files.map(({ name, bytes, sha256 }) => [`\`${name}\``, bytes.toLocaleString('en-US'), `\`${sha256}\``])])}`,
    `## Check after export\n\n${parityText(row)}`,
    `## How to load it\n\n${loading(row, run)}`,
  ];
  return `${parts.join('\n\n')}\n`;
}

/** The card's front matter under Hugging Face's keys, and under those that llama.cpp's converter reads from it besides. */
function frontOf(about: About): Record<string, unknown> {
  const id = ({ name, repoUrl }: Reference): string => /^https:\/\/huggingface\.co\/([^/]+\/[^/]+)$/.exec(repoUrl ?? '')?.[1] ?? repoUrl ?? name ?? 'unknown';
  const one = (all: string[] | undefined): string | string[] | undefined => (all?.length === 1 ? all[0] : all);
  const { license, licenseName, licenseLink, languages, author, organization, version, description, quantizedBy } = about;
  const front = {
    license: license?.includes(',') ? license.split(',') : license, license_name: licenseName, license_link: licenseLink, language: one(languages),
    base_model: one(about.baseModels?.map(id)), datasets: about.datasets?.map(id), tags: about.tags,
    author, organization, version, description, quantized_by: quantizedBy, url: about.url ?? about.sourceUrl, doi: about.doi ?? about.sourceDoi, repo_url: about.repoUrl ?? about.sourceRepoUrl,
  };
  return Object.fromEntries(Object.entries(front).filter(([, value]) => value !== undefined));
}

/** A reward model or a classifier. */
const scores = (run: RunRow | null): boolean => run?.method === 'reward' || run?.method === 'classify';

function sentence({ format, dtype }: ExportRow, run: RunRow | null): string {
  const what = {
    safetensors: `A ${run?.method === 'reward' ? 'reward model' : run?.method === 'classify' ? 'classifier' : 'language model'} in Hugging Face's folder layout, weights as ${dtype} in safetensors`,
    peft: 'A LoRA adapter in PEFT’s folder layout: small matrices to be put on its base model',
    gguf: `A language model in one GGUF file for llama.cpp, weights as ${dtype.toUpperCase()}`,
    'lora-gguf': 'A LoRA adapter as GGUF for llama.cpp: small matrices to be put on its base model, itself a GGUF file',
  }[format];
  return run ? `${what}. It was trained with Attune by ${run.method.toUpperCase()} from ${run.recipe.model}.` : `${what}, written by Attune as it was, without training.`;
}

/** Of a run whose frozen base was not kept as it is stored. */
function quantised({ format }: ExportRow, run: RunRow): string[] {
  const base = run.recipe.lora?.baseWeights ?? 'stored';
  if (base === 'stored') return [];
  const how = `the frozen base was kept as ${base} in training`;
  const merged = 'merged into the numbers that base has (dequantised), not into the base as it is stored';
  return [`- base: ${how}; ${format === 'peft' ? 'the adapter belongs to that base (`base_weights.json`)' : `the adapter is ${merged}`}`];
}

function trainingText(run: RunRow, row: ExportRow, { names }: Origin): string[] {
  const lines = [
    `- method: ${run.method}`,
    ...quantised(row, run),
    `- made from: ${names.join(' → ')} → **${row.model}**`,
    `- data: ${run.recipe.dataset}${run.trainSha256 ? `, training rows SHA-256 \`${run.trainSha256}\`` : ''}`,
    `- steps: ${run.step} of ${run.totalSteps}, seed ${run.seed}`,
    ...(run.device ? [`- trained on: ${run.device}`] : []),
  ];
  const metrics = Object.entries(run.last).filter((entry): entry is [string, number] => entry[1] !== null);
  const known = metrics.length > 0 ? [`## Metrics\n\nLast value of each.\n\n${table([['metric', 'value'], ...metrics.map(([name, value]) => [`\`${name}\``, format(value)])])}`] : [];
  return [`## Where it comes from\n\n${lines.join('\n')}`, `## Recipe\n\n\`\`\`yaml\n${stringify(run.recipe)}\`\`\``, ...known];
}

function licenseText({ license, licenseName, licenseLink }: About, { names }: Origin, run: RunRow | null): string {
  const base = names[0];
  const named = `\`${licenseName ?? license}\`${licenseLink === undefined ? '' : ` (${licenseLink})`}`;
  const stated = license === undefined ? 'states none in its files: ask its makers before you pass this on' : `is under ${named}`;
  return `## Licence\n\n${base === undefined ? `The model ${stated}.` : `The base, ${base}, ${stated}. What was trained from it is bound by that licence too${run ? ', and by those of the data' : ''}.`}`;
}

/** What runs it otherwise, told by the engine when it was written. */
function notesText({ source }: ExportRow): string[] {
  const notes = source.notes ?? [];
  return notes.length === 0 ? [] : [`## To know\n\n${notes.map((note) => `- ${note}`).join('\n')}`];
}

function parityText({ parity, parityError }: ExportRow): string {
  if (parityError !== null) return `The files could not be checked: ${parityError}`;
  if (!parity) return 'Not checked yet.';
  return `${parity.passed ? 'Passed' : '**Failed**'}. The files were loaded again and asked ${parity.prompts} prompts greedily. ${explainParity(parity)}`;
}

/** The outcome in words. */
export function explainParity(parity: Parity): string {
  const { prompts, equal, tokens, sameTokens, maxLogprobDifference, maxLogitDifference, expected, least = 0.99, llamaCpp } = parity;
  const share = ((100 * sameTokens) / Math.max(1, tokens)).toFixed(2);
  const numbers = `${equal} of ${prompts} answers are the same token for token; ${share} % of ${tokens} tokens are the likeliest in both, log-probs differ by at most ${format(maxLogprobDifference)} nats${maxLogitDifference === undefined ? '' : `, logits by at most ${format(maxLogitDifference)}`}.`;
  const rule = expected === 'equal' ? 'This format keeps every number, so all answers must be the same, and log-probs within 0.001 nats.' : `This format rounds the weights, so at least ${percent(least)} of the tokens must agree.`;
  return [numbers, rule, ...(llamaCpp ? [explainLlamaCpp(llamaCpp)] : [])].join(' ');
}

function explainLlamaCpp({ version, texts, sameTexts, tokens, sameTokens, maxLogprobDifference, least, error }: LlamaCpp): string {
  if (error !== null) return `llama.cpp could not run the file: ${error}`;
  const share = percent(sameTokens / Math.max(1, tokens));
  return `llama.cpp (${version}) read the same file: it made the same tokens of ${sameTexts} of ${texts} texts, found the same token likeliest at ${share} of ${tokens} places (at least ${percent(least)} must be), and its log-probs differ by at most ${format(maxLogprobDifference)} nats.`;
}

const percent = (share: number): string => `${Number((100 * share).toFixed(2))} %`;

function loading({ format, path, source }: ExportRow, run: RunRow | null): string {
  const code = (language: string, text: string): string => `\`\`\`${language}\n${text}\n\`\`\``;
  if (format === 'gguf') return code('sh', `llama-cli -m ${basename(path)} --temp 0 -cnv`);
  if (format === 'lora-gguf') return code('sh', `llama-cli -m BASE.gguf --lora ${basename(path)} --temp 0 -cnv`);
  const model = scores(run) ? 'AutoModelForSequenceClassification' : 'AutoModelForCausalLM';
  const load = `from transformers import ${model}, AutoTokenizer\n`;
  if (format === 'safetensors') return code('python', `${load}\ntokenizer = AutoTokenizer.from_pretrained("FOLDER")\nmodel = ${model}.from_pretrained("FOLDER")`);
  const head = run?.method === 'reward' ? ', num_labels=1' : run?.method === 'classify' ? ', num_labels=N' : ''; // N: the labels of score_head.json
  const base = basename(source.path.folder);
  const nf4 = run?.recipe.lora?.baseWeights === 'nf4';
  const quantization = nf4 ? ', quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)' : '';
  return code(
    'python',
    `${nf4 ? load.replace('AutoTokenizer', 'AutoTokenizer, BitsAndBytesConfig') : load}from peft import PeftModel\n\nbase = ${model}.from_pretrained("BASE"${head}${quantization})  # the folder of ${base}\ntokenizer = AutoTokenizer.from_pretrained("BASE")\nmodel = PeftModel.from_pretrained(base, "FOLDER")`,
  );
}

function table([head, ...rows]: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function format(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}
