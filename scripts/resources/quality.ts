/**
 * The embedded labelled texts {text, label}: a question and an answer to it, which is `clear` or `poor`. A few hundred labels, as somebody would set
 * by hand to filter a larger set with a classifier (Phi's recipe, "Textbooks Are All You Need"). The answers are those of the preference set, one of
 * each pair by turns, so words are held out as they are there and no text stands in both splits.
 *
 *   node scripts/resources/quality.ts
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { WORDNET_FOLDER } from './corpus.ts';
import { DATASETS } from './instructions.ts';
import { buildLexicon, type Lexicon } from './lexicon.ts';
import { buildPreferences, type PreferenceRow } from './preferences.ts';
import { readWordNet } from './wordnet.ts';

export type QualityRow = { text: string; label: 'clear' | 'poor' };

const TRAIN_ROWS = 800;

export function buildQuality(lexicon: Lexicon): { train: QualityRow[]; validation: QualityRow[] } {
  const { train, validation } = buildPreferences(lexicon);
  const label = ({ prompt, chosen, rejected }: PreferenceRow, i: number): QualityRow =>
    i % 2 === 0 ? { text: `${prompt}\n\n${chosen}`, label: 'clear' } : { text: `${prompt}\n\n${rejected}`, label: 'poor' };
  return { train: train.slice(0, TRAIN_ROWS).map(label), validation: validation.map(label) };
}

if (import.meta.main) {
  const splits = buildQuality(buildLexicon(readWordNet(WORDNET_FOLDER)));
  mkdirSync(DATASETS, { recursive: true });
  for (const [split, rows] of Object.entries(splits)) {
    const path = `${DATASETS}/quality.${split}.jsonl`;
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    console.log(`${path}: ${rows.length} labelled texts`);
  }
}
