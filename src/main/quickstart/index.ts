/**
 * The quickstart: the embedded base is fine-tuned with SFT, then with DPO, on the embedded data; base, SFT and DPO are measured on rows held out
 * by word, DPO is compared with SFT under the stated rule, and the winner exported. Two ordinary runs of the library, nothing special-cased.
 * What it prints is the command's affair (commands/quickstart.ts).
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineEvent, ModelPath } from '../../shared/job.ts';
import type { EvaluateResult, ExportResult } from '../../shared/job-results.ts';
import { Sampling } from '../../shared/sampling.ts';
import { withExamplesFile } from '../datasets/examples-file.ts';
import { askEngine } from '../engine.ts';
import { exportModel } from '../exports/index.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { RESOURCES } from '../paths.ts';
import { type Answer, answerPrompts } from '../playground/index.ts';
import { countVerdicts, judgeAnswer, type Judged } from '../playground/judge.ts';
import { readPrompts } from '../prompts.ts';
import { createRun, findRun, type Machine, startRun } from '../runs/index.ts';
import { readRecipe } from '../runs/recipe-file.ts';

const INSTRUCTIONS = join(RESOURCES, 'datasets', 'instructions.validation.jsonl');
const PREFERENCES = join(RESOURCES, 'datasets', 'preferences.validation.jsonl');
/** Held-out prompts that both models answer for the comparison. */
const COMPARED_PROMPTS = 120;
const MAX_ANSWER_TOKENS = 64;
/** The first of them that are shown with the base's answer too. */
const SHOWN_PROMPTS = 4;

export type QuickstartResult = {
  /** mean loss (nats per answer token) and its exponential, on held-out instructions */
  loss: Record<'base' | 'sft' | 'dpo', number>;
  perplexity: Record<'base' | 'sft' | 'dpo', number>;
  /** held-out pairs: how often the model finds the chosen answer likelier; margin and rewardAccuracy are DPO's implicit rewards against SFT */
  preference: {
    base: { accuracy: number };
    sft: { accuracy: number };
    dpo: { accuracy: number; margin: number; rewardAccuracy: number };
  };
  /** DPO against SFT on held-out prompts, greedy, under the rule of playground/judge.ts */
  compare: { win: number; tie: number; loss: number; prompts: number; sftPoints: number; dpoPoints: number };
  /** a few prompts with the three answers, for people */
  examples: { prompt: string; base: string; sft: string; dpo: string }[];
  models: { sft: string; dpo: string; winner: string };
  exported: string;
  wallSeconds: number;
  peakMemoryBytes: number;
};

export type QuickstartStage = 'sft' | 'dpo' | 'evaluate' | 'compare' | 'export';

export async function quickstart(
  library: Library,
  machine: Required<Machine>,
  onEvent: (stage: QuickstartStage, event: EngineEvent | null) => void,
): Promise<QuickstartResult> {
  const start = performance.now();
  let peakMemoryBytes = 0;
  const follow = (stage: QuickstartStage) => (event: EngineEvent) => {
    if (event.type === 'done') peakMemoryBytes = Math.max(peakMemoryBytes, event.peakMemoryBytes);
    onEvent(stage, event);
  };

  const train = async (stage: 'sft' | 'dpo', model?: string): Promise<string> => {
    const recipe = readRecipe(join(RESOURCES, 'recipes', `${stage}.yaml`));
    const run = createRun(library, model ? { ...recipe, model } : recipe, [join(RESOURCES, '..')]);
    for await (const event of startRun(library, run, machine).events) follow(stage)(event);
    return findRun(library, run.name).name;
  };
  const sft = await train('sft');
  const dpo = await train('dpo', sft);

  const paths = {
    base: resolveModel(library, 'attune-base').path,
    sft: resolveModel(library, sft).path,
    dpo: resolveModel(library, dpo).path,
  };
  onEvent('evaluate', null);
  const evaluations = await withExamplesFile(library, INSTRUCTIONS, { splits: ['train'] }, (instructions) =>
    withExamplesFile(library, PREFERENCES, { splits: ['train'] }, async (preferences) => {
      const evaluate = (model: ModelPath, reference?: ModelPath) =>
        askEngine<EvaluateResult>(
          {
            type: 'evaluate', ...machine, model, reference, beta: 0.1, template: 'chat', instructions, preferences, maxLength: 512,
          },
          follow('evaluate'),
        );
      return { base: await evaluate(paths.base), sft: await evaluate(paths.sft), dpo: await evaluate(paths.dpo, paths.sft) };
    }),
  );
  const { base, sft: tuned, dpo: preferred } = evaluations;

  onEvent('compare', null);
  const prompts = readPrompts(PREFERENCES).slice(0, COMPARED_PROMPTS);
  const sampling = Sampling.parse({ temperature: 0, maxTokens: MAX_ANSWER_TOKENS });
  const answer = (name: string, count: number) =>
    answerPrompts(resolveModel(library, name), prompts.slice(0, count).map(({ messages }) => ({ messages })), { template: 'chat', sampling, ...machine });
  const answers = { base: await answer('attune-base', SHOWN_PROMPTS), sft: await answer(sft, COMPARED_PROMPTS), dpo: await answer(dpo, COMPARED_PROMPTS) };
  const judge = (all: Answer[]) => all.map(({ text, finishReason }) => judgeAnswer(text, finishReason === 'eos'));
  const judged = { sft: judge(answers.sft), dpo: judge(answers.dpo) };
  const compare = {
    ...countVerdicts(judged.dpo, judged.sft),
    prompts: prompts.length,
    sftPoints: meanPoints(judged.sft),
    dpoPoints: meanPoints(judged.dpo),
  };

  onEvent('export', null);
  const winner = compare.win >= compare.loss ? dpo : sft;
  const out = join(library.folder, 'exports', winner);
  mkdirSync(out, { recursive: true });
  const exported: ExportResult = await exportModel(library, { model: resolveModel(library, winner), format: 'safetensors', dtype: 'f32', out, force: true });

  return {
    loss: { base: base.instructions!.loss, sft: tuned.instructions!.loss, dpo: preferred.instructions!.loss },
    perplexity: { base: base.instructions!.perplexity, sft: tuned.instructions!.perplexity, dpo: preferred.instructions!.perplexity },
    preference: {
      base: { accuracy: base.preferences!.accuracy },
      sft: { accuracy: tuned.preferences!.accuracy },
      dpo: {
        accuracy: preferred.preferences!.accuracy,
        margin: preferred.preferences!.margin!,
        rewardAccuracy: preferred.preferences!.rewardAccuracy!,
      },
    },
    compare,
    examples: answers.base.map((answer, i) => ({ prompt: prompts[i].title, base: answer.text, sft: answers.sft[i].text, dpo: answers.dpo[i].text })),
    models: { sft, dpo, winner },
    exported: exported.path,
    wallSeconds: (performance.now() - start) / 1000,
    peakMemoryBytes,
  };
}

function meanPoints(judged: Judged[]): number {
  return judged.reduce((sum, { points }) => sum + points, 0) / judged.length;
}
