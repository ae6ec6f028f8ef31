/**
 * renderer ↔ main: every procedure and every stream of the workbench, one file a noun in api/. Both shells (Electron's message port, the
 * browser's WebSocket) carry this one contract. Inputs are validated at the border; errors are sentences (an ORPCError's message).
 */
import { datasets } from './api/datasets.ts';
import { exports } from './api/exports.ts';
import { inspection } from './api/inspection.ts';
import { methodReports } from './api/method-reports.ts';
import { models } from './api/models.ts';
import { playground, votes } from './api/playground.ts';
import { runs, training } from './api/runs.ts';
import { samplingReports } from './api/sampling-reports.ts';
import { serving } from './api/serving.ts';
import { files, quickstart, tasks, workbench } from './api/workbench.ts';

export const contract = {
  workbench, tasks, files, quickstart, models, datasets, training, runs, playground, votes, exports, methodReports, samplingReports, serving, inspection,
};
export type Contract = typeof contract;
