/**
 * A score head in place of the LM head, as transformers' …ForSequenceClassification has it: `score.weight` (labels, C), no bias, read at the
 * last token of a text. One label is a reward or a value, several are classes. Here is what config.json says of it; the arithmetic is
 * ops/linear.ts, called by language-model.ts.
 */

export type ScoreHead = {
  /** A name a label, in the order of the head's rows. */
  labels: string[];
  /**
   * transformers scores the last token that is not this one, so no scored text may end with it; null leaves it out, and then
   * transformers scores one text at a time.
   */
  padTokenId: number | null;
};

const CLASSIFIER = 'ForSequenceClassification';
/** How the names of language models end, and a classifier's. */
const ENDINGS = ['ForCausalLM', 'LMHeadModel', CLASSIFIER];

/** A reward model's only label, named as transformers does. */
export const REWARD_LABELS = ['LABEL_0'];

/** `LlamaForSequenceClassification` and `LlamaForCausalLM` → `Llama`, `GPT2LMHeadModel` → `GPT2`; null of another ending. */
export function stemOf(architecture: string): string | null {
  const ending = ENDINGS.find((end) => architecture.endsWith(end));
  return ending === undefined ? null : architecture.slice(0, -ending.length);
}

const MOST_LABELS = 1_000_000;

export const isScorer = (architecture: string): boolean => architecture.endsWith(CLASSIFIER);

/** The config.json of the same trunk with a score head. `architecture` is the family's, `LlamaForCausalLM` or already a classifier's. */
export function scoreHeadConfig(config: Record<string, unknown>, architecture: string, { labels, padTokenId }: ScoreHead): Record<string, unknown> {
  return {
    ...config,
    architectures: [stemOf(architecture)! + CLASSIFIER],
    id2label: Object.fromEntries(labels.map((label, id) => [id, label])),
    label2id: Object.fromEntries(labels.map((label, id) => [label, id])),
    pad_token_id: padTokenId,
  };
}

/** The head a classifier's config.json tells of. transformers leaves id2label out where there are two labels without names. */
export function readScoreHead(config: Record<string, unknown>): ScoreHead {
  const names = (config['id2label'] ?? {}) as Record<string, unknown>;
  const count = Object.keys(names).length || ((config['num_labels'] ?? 2) as number);
  const pad = config['pad_token_id'];
  if (!Number.isInteger(count) || count < 1 || count > MOST_LABELS) throw new Error(`num_labels is ${JSON.stringify(count)}; expected a whole number from 1 to ${MOST_LABELS}`);
  return {
    labels: Array.from({ length: count }, (_, id) => String(names[id] ?? `LABEL_${id}`)),
    padTokenId: typeof pad === 'number' ? pad : null,
  };
}

/** Labels of the score head: those asked for, which must be the stored ones where there are any. */
export function chooseLabels(wanted: number | undefined, stored: number | null, where: string): number | null {
  if (wanted === undefined || stored === null) return wanted ?? stored;
  if (wanted === stored) return stored;
  throw new Error(`${where}: its score head has ${stored} labels, ${wanted} are needed; train on the language model it came from`);
}
