/**
 * The `score` job: a reward model's or classifier's scores of rows. Of a prompt with several answers each is scored; of a conversation or a text the
 * whole, of which a classifier reads plain text. Each row gives a `scored` event, and pairs, rankings or labels together a report in the result.
 * Training on them is algorithms/reward.ts.
 */
import type { Example } from '../../shared/dataset.ts';
import type { EngineEvent, ScoreJob } from '../../shared/job.ts';
import type { ScoreResult } from '../../shared/job-results.ts';
import { rewardReport } from '../algorithms/reward-report.ts';
import { packRankings } from '../data/pack.ts';
import { plainTexts } from '../data/plain-text.ts';
import { readExamples } from '../data/read.ts';
import { encodePieces, tokenizeRanking, tokenizeText, tokenizeUnpaired } from '../data/tokenize.ts';
import type { Device } from '../device/device.ts';
import { openModel } from '../open-model.ts';
import { renderExample } from '../tokenizer/template.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';

/** Rows of a forward pass; only speed depends on it. */
const BATCH_ROWS = 32;

type Row = { index: number; example: Example; prompt: Int32Array; answers: Int32Array[]; margin: number };

export async function score(job: ScoreJob, device: Device, emit: (event: EngineEvent) => void): Promise<ScoreResult> {
  const tokenizer = await loadTokenizer(job.model.folder);
  const { model, source } = await openModel(device, job.model, tokenizer, { storage: 'bf16-if-stored', trainable: 'none' });
  const { head } = source;
  if (!head) throw new Error(`${job.model.adapter ?? job.model.folder}: this is a language model, which writes texts and scores none: name a reward model or a classifier`);
  const labels = head.labels.length;
  const ranked: Float32Array[] = [];
  const counts = head.labels.map(() => new Array<number>(labels).fill(0));
  const longest = Math.min(job.maxLength, model.config.maxPositionEmbeddings);
  let [rows, leftOut, labelled] = [0, 0, 0];

  async function scoreBatch(batch: Row[]): Promise<void> {
    const { scores } = await model.forwardScores(packRankings(batch));
    let at = 0;
    for (const { index, example, answers } of batch) {
      const own = scores.slice(at, (at += answers.length * labels));
      emit({ type: 'scored', index, scores: Array.from(own) });
      rows++;
      if (labels === 1 && answers.length > 1) ranked.push(own);
      if (labels > 1 && example.kind === 'classification') {
        const label = head!.labels.indexOf(example.label);
        if (label < 0) continue; // a label the classifier does not know
        counts[label][own.indexOf(own.reduce((a, b) => Math.max(a, b)))]++;
        labelled++;
      }
    }
  }

  let batch: Row[] = [];
  let index = 0;
  for await (const example of readExamples(job.examples)) {
    const row = { index: index++, example, ...(labels === 1 ? tokenize(example, job, tokenizer) : tokenizePlain(example, tokenizer)) };
    if (row.answers.some(({ length }) => length === 0 || row.prompt.length + length > longest)) {
      leftOut++;
      continue;
    }
    batch.push(row);
    if (batch.length < BATCH_ROWS) continue;
    await scoreBatch(batch);
    batch = [];
  }
  if (batch.length > 0) await scoreBatch(batch);
  model.free();
  const report = ranked.length > 0 ? rewardReport(ranked) : labelled > 0 ? { type: 'classify' as const, labels: head.labels, counts } : null;
  return { labels: head.labels, rows, leftOut, accuracy: ranked.length > 0 ? accuracyOf(ranked) : labelled > 0 ? counts.reduce((sum, row, i) => sum + row[i], 0) / labelled : null, report };
}

/** As algorithms/reward.ts measures it: pairs of one prompt weigh one together. */
function accuracyOf(ranked: Float32Array[]): number {
  const share = (scores: Float32Array): number => {
    let right = 0;
    for (let i = 0; i < scores.length; i++) for (let j = i + 1; j < scores.length; j++) right += scores[i] > scores[j] ? 1 : 0;
    return (2 * right) / (scores.length * (scores.length - 1));
  };
  return ranked.reduce((sum, scores) => sum + share(scores), 0) / ranked.length;
}

/** A classifier was trained on plain texts, and each answer of a prompt is one of its own. */
function tokenizePlain(example: Example, tokenizer: Tokenizer): Omit<Row, 'index' | 'example'> {
  return { prompt: new Int32Array(), answers: plainTexts(example).map((text) => tokenizeText(text, tokenizer)), margin: 0 };
}

/** Answers end with their end-of-turn token, as in training; what a template writes after the last one is left out. */
function tokenize(example: Example, { template }: ScoreJob, tokenizer: Tokenizer): Omit<Row, 'index' | 'example'> {
  if (example.kind === 'preference' || example.kind === 'ranking') return tokenizeRanking(example, { template, tokenizer });
  if (example.kind === 'unpaired') {
    const { prompt, completion } = tokenizeUnpaired(example, { template, tokenizer });
    return { prompt, answers: [completion], margin: 0 };
  }
  const whole = (tokens: Int32Array) => ({ prompt: new Int32Array(), answers: [tokens], margin: 0 });
  if (example.kind === 'classification' || example.kind === 'text') return whole(tokenizeText(example.text, tokenizer));
  const { tokens, loss } = encodePieces(renderExample(example, template, tokenizer), tokenizer);
  return whole(Int32Array.from(tokens.slice(0, loss.lastIndexOf(1) + 1)));
}
