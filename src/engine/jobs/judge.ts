/** The `judge` job: pairs of answers judged by a model, a few at a time, so that a person sees how far it is. What becomes of the labels is main's affair. */
import type { PreferenceExample } from '../../shared/dataset.ts';
import type { JudgeJob } from '../../shared/job.ts';
import type { JudgeResult } from '../../shared/job-results.ts';
import { readExamples } from '../data/read.ts';
import type { Device } from '../device/device.ts';
import { rewardJudge } from '../judges/reward.ts';
import { rubricJudge } from '../judges/rubric.ts';
import { openModel } from '../open-model.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';

/** Pairs between two counts. */
const SLICE = 32;

export async function judge(job: JudgeJob, device: Device, count: (done: number, total: number) => void): Promise<JudgeResult> {
  const pairs: PreferenceExample[] = [];
  for await (const example of readExamples(job.pairs)) {
    if (example.kind !== 'preference') throw new Error(`a ${example.kind} row stands where pairs of answers (prompt, chosen, rejected) are judged`);
    pairs.push(example);
  }
  const tokenizer = await loadTokenizer(job.model.folder);
  const { model, source } = await openModel(device, job.model, tokenizer, { storage: 'bf16-if-stored', trainable: 'none' });
  if (job.rubric === null && source.head?.labels.length !== 1) throw new Error(`${job.model.adapter ?? job.model.folder}: not a reward model: it is judged by a rubric, and none was given`);
  const ask = job.rubric === null ? rewardJudge(model, tokenizer, job.template) : rubricJudge(model, tokenizer, job.template, job.rubric);
  const result: JudgeResult = [];
  for (let start = 0; start < pairs.length; start += SLICE) {
    result.push(...(await ask(pairs.slice(start, start + SLICE))));
    count(result.length, pairs.length);
  }
  model.free();
  return result;
}
