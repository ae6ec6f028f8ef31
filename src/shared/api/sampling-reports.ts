/** Answers sampled many times: best of N and consistency. Started as tasks, stored with what was asked and found. */
import { oc, type } from '@orpc/contract';
import { z } from 'zod';
import { type BestOfResult, Selection } from '../best-of.ts';
import { type Consistency, Rephrasing } from '../consistency.ts';
import { Constraint } from '../constraint.ts';
import { Examples } from '../prompt-template.ts';
import { Sampling } from '../sampling.ts';
import { answers } from './answers.ts';

export type SamplingReportBody =
  | { kind: 'best-of'; count: number; selection: Selection; sampling: Sampling; constraint?: Constraint; result: BestOfResult }
  | { kind: 'consistency'; count: number; sampling: Sampling; constraint?: Constraint; result: Consistency };
export type SamplingReport = SamplingReportBody & { id: number; model: string; createdAt: string };
/** What a list shows of one. */
export type SamplingReportSummary = { id: number; kind: SamplingReport['kind']; model: string; prompt: string; count: number; createdAt: string };

/** `system`, `examples`: what stands before the prompt. */
const asked = { model: z.string().min(1), prompt: z.string().trim().min(1), system: z.string().default(''), examples: Examples.default([]), sampling: Sampling, constraint: Constraint.optional() };

export const samplingReports = {
  list: answers<SamplingReportSummary[]>(),
  get: oc.input(z.strictObject({ id: z.int() })).output(type<SamplingReport>()),
  remove: oc.input(z.strictObject({ id: z.int() })).output(type<void>()),
  bestOf: oc.input(z.strictObject({ ...asked, expected: z.string().optional(), count: z.int().min(1).max(256), selection: Selection })).output(type<{ taskId: number }>()),
  consistency: oc.input(z.strictObject({ ...asked, count: z.int().min(1).max(64), rephrasings: z.array(Rephrasing) })).output(type<{ taskId: number }>()),
};
