/** What every recipe has, and the two groups of fields in it. */
import { z } from 'zod';
import { Template } from '../dataset.ts';

/** How the frozen base under an adapter is kept in memory. */
export const BaseWeights = z.enum(['stored', 'f32', 'bf16', 'q8_0', 'q4_0', 'nf4']);
export type BaseWeights = z.infer<typeof BaseWeights>;

export const Lora = z.strictObject({
  r: z.int().min(1).max(1024).default(16).describe('rank of the update'),
  loraAlpha: z.number().gt(0).default(32).describe('the update is scaled by loraAlpha / r'),
  loraDropout: z.number().min(0).max(0.9).default(0).describe('dropout on the input of the update'),
  useDora: z.boolean().default(false).describe('DoRA: the length of each output\'s weights is learned apart from their direction; without dropout'),
  targetModules: z
    .array(z.string())
    .min(1)
    .default(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'])
    .describe('linears that get an update, by the last part of their name; all-linear for every one'),
  baseWeights: BaseWeights.default('stored').describe('how the frozen base is kept: as stored, or quantised (QLoRA) to 8 bits (q8_0) or 4 (nf4, q4_0): less memory, a little slower'),
});
export type Lora = z.infer<typeof Lora>;

export const Optimizer = z.strictObject({
  learningRate: z.number().gt(0).max(1).default(2e-5).describe('peak learning rate'),
  lrSchedulerType: z.enum(['linear', 'cosine', 'constant', 'wsd']).default('linear').describe('shape after the warm-up'),
  warmupRatio: z.number().min(0).max(1).default(0.03).describe('share of the steps spent warming up'),
  minLrRatio: z.number().min(0).max(1).default(0).describe('the schedule ends at this share of the peak'),
  adamBeta1: z.number().min(0).lt(1).default(0.9).describe('decay of the first moment'),
  adamBeta2: z.number().min(0).lt(1).default(0.999).describe('decay of the second moment'),
  adamEpsilon: z.number().gt(0).default(1e-8).describe('added to the root of the second moment'),
  weightDecay: z.number().min(0).default(0).describe('decoupled decay; norms and biases are left out'),
  maxGradNorm: z.number().min(0).default(1).describe('gradients are clipped to this norm; 0 is off'),
});
export type Optimizer = z.infer<typeof Optimizer>;

export const common = {
  name: z.string().min(1).max(100).optional().describe('name of the run and of its result'),
  model: z.string().min(1).describe('base model: library name or folder'),
  dataset: z.string().min(1).describe('library name, or a file to read as it is'),
  template: Template.default('chat').describe("prompt format: alpaca, chatml, or chat (the model's own)"),
  seed: z.int().min(0).default(42).describe('orders the data, draws dropout and new weights'),
  maxLength: z.int().min(8).max(131072).default(1024).describe('tokens a row may have; longer rows are cut at the end and counted'),
  numTrainEpochs: z.number().gt(0).default(1).describe('passes over the data; ignored when maxSteps is set'),
  maxSteps: z.int().min(0).default(0).describe('optimiser steps; 0 means by epochs'),
  perDeviceTrainBatchSize: z.int().min(1).default(8).describe('examples in one micro-batch'),
  gradientAccumulationSteps: z.int().min(1).default(1).describe('micro-batches in one step; equals one big batch'),
  gradientCheckpointing: z.boolean().default(false).describe('recompute layers in backward: less memory, about a third more time'),
  optimizer: Optimizer.prefault({}),
  lora: Lora.nullable().default(null).describe('train a LoRA adapter on a frozen base; null trains every weight'),
  evalRatio: z.number().min(0).max(0.5).default(0.05).describe('share of the rows held out when the dataset has no validation split'),
  evalSteps: z.int().min(0).default(0).describe('evaluate every this many steps; 0 only at the end'),
  evalSamples: z
    .int()
    .min(0)
    .max(64)
    .default(4)
    .describe('held-out prompts answered greedily before the first step and at each evaluation, 64 tokens at most; 0 is off'),
  saveSteps: z.int().min(0).default(0).describe('checkpoint every this many steps; 0 only at the end'),
  saveTotalLimit: z.int().min(1).default(2).describe('checkpoints kept besides the best one'),
  loggingSteps: z.int().min(1).default(1).describe('metrics every this many steps'),
};
