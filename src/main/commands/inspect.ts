/** `attune inspect`: what a model is made of and what it takes, its vocabulary, the numbers in its tensors, and what sets it apart from another. */
import type { Command } from 'commander';
import type { Inspection, InspectedAttention, TensorChange, TensorNumbers, VocabularyEntry } from '../../shared/inspection.ts';
import { diff, inspect, weigh } from '../inspection/index.ts';
import { createVocabularies } from '../inspection/vocabulary.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { formatBytes, print, printJson, table, tell } from '../terminal.ts';
import { UserError } from '../user-error.ts';
import { createCounter } from './progress.ts';
import { withLibrary } from './with-library.ts';

type Flags = { tensors?: boolean; weigh?: boolean; against?: string; vocab?: string; json?: boolean };

/** Of a vocabulary's matches; --json gives so many, too. */
const SHOWN = 50;

export function addInspect(program: Command): void {
  program
    .command('inspect')
    .description('what a model is made of: parameters by part, memory, attention, vocabulary, the numbers in its tensors')
    .argument('<model>')
    .option('--tensors', 'every tensor with its shape, type and part')
    .option('--weigh', 'the numbers in every tensor: least, most, mean, spread, norm, zeros, and what is not finite')
    .option('--against <other>', 'how far every tensor is from that of another model: what did training change?')
    .option('--vocab <query>', 'tokens by text, id or bytes (0x0a), with their merges or scores and what they are for')
    .option('--json', 'as JSON')
    .addHelpText('after', `
Adapters are merged into their base while --against reads them. What --weigh and --against have measured is kept in the library.

Examples:
  attune inspect attune-base
  attune inspect my-dpo --against my-sft
  attune inspect attune-base --vocab "the"`)
    .action((model: string, options: Flags) => withLibrary((library) => runInspect(library, model, options)));
}

async function runInspect(library: Library, name: string, options: Flags): Promise<void> {
  const asked = [options.tensors && '--tensors', options.weigh && '--weigh', options.against !== undefined && '--against', options.vocab !== undefined && '--vocab'].filter(Boolean);
  if (asked.length > 1) throw new UserError(`${asked.join(' and ')}: ask for one at a time`);
  const model = resolveModel(library, name).name;
  const show = <T extends object>(value: T, lines: () => string[]): void => (options.json ? printJson({ model, ...value }) : lines().forEach(print));
  if (options.vocab !== undefined) {
    const page = await createVocabularies().page(library, { model: name, query: options.vocab, kind: null, offset: 0, count: SHOWN });
    show(page, () => vocabularyLines(page.entries));
    if (page.matched > SHOWN) tell(`${SHOWN} of ${page.matched} tokens that match; a longer query finds fewer`);
    if (page.matched === 0) tell(`no token matches ${JSON.stringify(options.vocab)}`);
  } else if (options.weigh) {
    const tensors = await weigh(library, name, { onCount: createCounter('tensors read') });
    show({ tensors }, () => numberLines(tensors));
  } else if (options.against !== undefined) {
    const { tensors } = await diff(library, name, options.against, { onCount: createCounter('tensors compared') });
    show({ against: resolveModel(library, options.against).name, tensors }, () => changeLines(tensors));
  } else {
    const found = await inspect(library, name);
    show(found, () => (options.tensors ? tensorLines(found) : overviewLines(model, found)));
  }
}

const whole = (value: number) => value.toLocaleString('en-US');
const short = (value: number | null) => (value === null ? '–' : value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4) ? value.toFixed(4) : value.toExponential(2));

function overviewLines(name: string, found: Inspection): string[] {
  const parameters = found.parts.reduce((sum, part) => sum + part.parameters, 0);
  const { attention, training } = found;
  const trainingRow = (what: string, { weights, gradients, optimizer, activations }: Inspection['training']['full']) =>
    [what, ...[weights, gradients, optimizer, activations, weights + gradients + optimizer + activations].map(formatBytes)];
  return [
    `${name}: ${found.architecture} (${found.family}), ${whole(parameters)} parameters${found.experts ? `, ${whole(found.experts.activeParameters)} active (${found.experts.perToken} of ${found.experts.count} experts)` : ''}`,
    `${attention.layers.length} layers of ${found.hiddenSize}, MLP ${found.intermediateSize} (${found.gated ? 'gated ' : ''}${found.activation}), ${found.norm === 'rms' ? 'RMSNorm' : 'LayerNorm'}, ` +
      `vocabulary ${whole(found.vocabularySize)}${found.tied ? ', head tied to the embedding' : ''}, context ${whole(found.contextLength)}`,
    attentionLine(attention),
    ...(found.adapter ? [`LoRA adapter: rank ${found.adapter.rank}, alpha ${found.adapter.alpha}, on ${found.adapter.modules.join(', ')}`] : []),
    '',
    table([['part', 'tensors', 'parameters', 'share', 'stored'], ...found.parts.map(({ part, tensors, parameters: count, bytes }) => [part, String(tensors), whole(count), `${((100 * count) / parameters).toFixed(1)} %`, formatBytes(bytes)])]),
    '',
    table([['weights kept in', 'take'], ...found.memory.map(({ precision, bytes }) => [precision, formatBytes(bytes)])]),
    '',
    `training on a row of ${training.tokens} tokens:`,
    table([['', 'weights', 'gradients', 'optimiser', 'activations', 'together'], trainingRow('full', training.full), trainingRow(`LoRA r ${training.loraRank}`, training.lora)]),
    '',
    table([['context', 'cache here (f32)', 'in f16, windows kept to'], ...found.cache.map(({ tokens, kept, windowed }) => [whole(tokens), formatBytes(kept), formatBytes(windowed)])]),
  ];
}

function attentionLine({ heads, kvHeads, headDim, layers, ropes, rotaryDims, learnedPositions, cap }: InspectedAttention): string {
  const kind = kvHeads === heads ? 'multi-head' : kvHeads === 1 ? 'multi-query' : 'grouped-query';
  const windows = layers.filter(({ window }) => window > 0);
  const reach = windows.length === 0 ? 'full' : windows.length === layers.length ? `window of ${windows[0]!.window}` : `window of ${windows[0]!.window} in ${windows.length} of ${layers.length} layers`;
  const positions = learnedPositions ? 'learned positions' : ropes.map(({ type, theta, factor }) => `rope ${type}${factor === null ? '' : ` ×${factor}`} θ ${whole(theta)}`).join(' and ');
  return `attention: ${kind}, ${heads} query heads on ${kvHeads} key/value heads of ${headDim}${!learnedPositions && rotaryDims < headDim ? ` (${rotaryDims} turned)` : ''}, ${reach}, ${positions}${cap > 0 ? `, scores capped at ${cap}` : ''}`;
}

function tensorLines({ tensors }: Inspection): string[] {
  return [table([['tensor', 'shape', 'type', 'part', 'parameters', 'stored'], ...tensors.map(({ name, shape, dtype, part, bytes }) =>
    [name, shape.join('×'), dtype, part, whole(shape.reduce((a, b) => a * b, 1)), formatBytes(bytes)])])];
}

function numberLines(tensors: TensorNumbers[]): string[] {
  return [table([['tensor', 'least', 'most', 'mean', 'std', 'norm', 'zeros', 'not finite'], ...tensors.map(({ name, min, max, mean, std, l2, zeros, count, nonFinite }) =>
    [name, ...[min, max, mean, std, l2].map(short), `${((100 * zeros) / count).toFixed(2)} %`, String(nonFinite)])])];
}

/** Most changed first; what has not changed is counted. */
function changeLines(tensors: TensorChange[]): string[] {
  const both = tensors.filter(({ found }) => found === 'both');
  const changed = both.filter(({ relative }) => relative !== 0).sort((a, b) => (b.relative ?? Infinity) - (a.relative ?? Infinity));
  const apart = { 'only-model': 'only in this model', 'only-other': 'only in the other', 'other-shape': 'of another shape' };
  return [
    `${changed.length} of ${both.length} tensors changed`,
    ...(changed.length > 0 ? [table([['tensor', 'relative change', 'cosine', 'largest change'], ...changed.map(({ name, relative, cosine, largest }) => [name, short(relative), cosine === null ? '–' : cosine.toFixed(6), short(largest)])])] : []),
    ...tensors.flatMap(({ name, found }) => (found === 'both' ? [] : [`${name}: ${apart[found]}`])),
  ];
}

function vocabularyLines(entries: VocabularyEntry[]): string[] {
  if (entries.length === 0) return [];
  return [table([['id', 'token', 'text', 'bytes', 'kind', 'made of', 'for'], ...entries.map(({ id, token, text, bytes, kind, merge, score, roles }) => [
    String(id), token, text === null ? '–' : JSON.stringify(text), bytes ?? '–', kind,
    merge ? `${merge.left} + ${merge.right} (merge ${merge.rank})` : score !== null ? `score ${score.toFixed(3)}` : '–', roles.join(', '),
  ])])];
}
