/** Method reports: methods held against each other on the same base and data (method-report.ts). The topic of their changes is `reports`. */
import { oc, type } from '@orpc/contract';
import { z } from 'zod';
import { type MethodReport, ReportSettings } from '../method-report.ts';
import { answers } from './answers.ts';

const id = z.strictObject({ id: z.int() });

export const methodReports = {
  /** Newest first. */
  list: answers<MethodReport[]>(),
  get: oc.input(id).output(type<MethodReport>()),
  /** One at a time; its trainings are runs of the queue. */
  start: oc.input(ReportSettings).output(type<{ id: number }>()),
  /** Goes on with one that was stopped, interrupted or failed. */
  resume: oc.input(id).output(type<void>()),
  stop: oc.input(id).output(type<void>()),
  /** Its runs and their models stay. */
  remove: oc.input(id).output(type<void>()),
  /** `pdf` only where about.shell.pdf. */
  save: oc.input(z.strictObject({ id: z.int(), path: z.string(), format: z.enum(['html', 'pdf']), language: z.enum(['en', 'ko']) })).output(type<void>()),
};
