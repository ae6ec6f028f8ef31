/**
 * A scalar head, for a reward or a value: one number per chosen row of the final hidden states, as transformers'
 * …ForSequenceClassification with one label (`score.weight`, no bias).
 */
import type { Device } from '../device/device.ts';
import { gather } from '../ops/embedding.ts';
import { linear } from '../ops/linear.ts';
import type { Tape, Value } from '../ops/tape.ts';
import type { ModelConfig } from './config.ts';
import { createParameter, drawParameter, type Parameter } from './parameters.ts';

/** A new score.weight (1,C). */
export function createScalarHead(device: Device, config: ModelConfig, seed: number): Parameter {
  const weight = createParameter(device, 'score.weight', [1, config.hiddenSize], 'f32', true);
  device.write(weight.tensor, drawParameter(config, weight.name, config.hiddenSize, seed));
  return weight;
}

/** hidden(N,C) after the final norm, rows(S) i32: one a sequence → scores(S) */
export function scalarHead(tape: Tape, hidden: Value, rows: Value, weight: Parameter, N: number, S: number): Value {
  const chosen = gather(tape, hidden, rows, N, S);
  return linear(tape, chosen, { inFeatures: hidden.width, outFeatures: 1, weight, bias: null }, S);
}
