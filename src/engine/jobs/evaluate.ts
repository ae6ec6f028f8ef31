/**
 * The `evaluate` job: one model's held-out numbers. Instruction rows give loss and perplexity over answer tokens; preference pairs give
 * how often the model finds the chosen answer likelier, and, against a reference, DPO's implicit reward accuracy and margin.
 */
import type { EvaluateJob } from '../../shared/job.ts';
import type { EvaluateResult } from '../../shared/job-results.ts';
import { evaluateDpo, referenceLogprobs } from '../algorithms/dpo.ts';
import { evaluateSft } from '../algorithms/sft.ts';
import { preparePreferences, prepareSequences, type PrepareSettings } from '../data/prepare.ts';
import type { Device } from '../device/device.ts';
import { openModel } from '../open-model.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';

/** Tokens (rows: pairs) of a forward pass; only speed depends on them. */
const BATCH_TOKENS = 4096;
const BATCH_PAIRS = 32;

export async function evaluate(job: EvaluateJob, device: Device, warn: (text: string) => void): Promise<EvaluateResult> {
  const tokenizer = await loadTokenizer(job.model.folder);
  const { model } = await openModel(device, job.model, tokenizer, { storage: 'bf16-if-stored', trainable: 'none' });
  const settings: PrepareSettings = { template: job.template, tokenizer, maxLength: job.maxLength, completionOnlyLoss: true, warn };
  const result: EvaluateResult = { instructions: null, preferences: null };

  if (job.instructions) {
    const rows = await prepareSequences(job.instructions, settings);
    const { loss, tokens } = await evaluateSft(model, rows, BATCH_TOKENS);
    result.instructions = { loss, perplexity: Math.exp(loss), tokens, rows: rows.length };
  }
  if (job.preferences) {
    const rows = await preparePreferences(job.preferences, settings);
    const own = await referenceLogprobs(model, rows, BATCH_PAIRS);
    let reference: Float64Array = new Float64Array(own.length);
    if (job.reference) {
      const { model: frozen } = await openModel(device, job.reference, tokenizer, { storage: 'bf16-if-stored', trainable: 'none' });
      reference = await referenceLogprobs(frozen, rows, BATCH_PAIRS);
      frozen.free();
    }
    const rewards = await evaluateDpo(model, rows, reference, BATCH_PAIRS, { beta: job.beta, lossType: ['sigmoid'], labelSmoothing: 0 });
    let preferred = 0;
    for (let i = 0; i < rows.length; i++) if (own[2 * i] > own[2 * i + 1]) preferred++;
    result.preferences = {
      accuracy: preferred / rows.length,
      rewardAccuracy: job.reference ? rewards['rewards/accuracies'] : null,
      margin: job.reference ? rewards['rewards/margins'] : null,
      pairs: rows.length,
      chosenLogps: rewards['logps/chosen'],
      rejectedLogps: rewards['logps/rejected'],
    };
  }
  model.free();
  return result;
}
