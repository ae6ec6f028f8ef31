/**
 * The contract's implementation, one line a procedure: each calls a plain function of the noun's folder. No logic here.
 */
import { implement, onError, ORPCError } from '@orpc/server';
import { contract } from '../shared/api.ts';
import * as desk from './datasets/desk.ts';
import { editDataset, turnEdit } from './datasets/editing.ts';
import { previewImport } from './datasets/preview.ts';
import { about } from './about.ts';
import { discardExport, forgetExport, goOnWithExport, listExports, startExport, suggestFolder, verifyExport } from './exports/desk.ts';
import { listUnfinished } from './exports/partial.ts';
import { listDevices, testDevice } from './devices.ts';
import { chooseFile, listFolder, makeFolder, revealFile } from './files.ts';
import { startDiff, startWeighing } from './inspection/desk.ts';
import { inspect, keptChanges, keptNumbers } from './inspection/index.ts';
import { savePair } from './playground/pairs.ts';
import { lookAt, readAnswer } from './playground/looking.ts';
import { checkConstraint } from './playground/constraints.ts';
import { presetsOf, removePreset, savePreset } from './playground/presets.ts';
import { removeTemplate, saveTemplate, templatesOf } from './playground/templates.ts';
import { rank, saveRanking, undoRanking } from './playground/rankings.ts';
import { listVotes, scores, vote } from './playground/votes.ts';
import { saveReport } from './method-reports/save.ts';
import { readSettings, saveSettings } from './settings.ts';
import { RUBRIC } from './judging/index.ts';
import { addModelFolder, listModelSummaries, removeModelName } from './models/summaries.ts';
import { readWholeCurves } from './runs/curves.ts';
import { listSampledSteps, readSampledAnswers } from './runs/sampled-answers.ts';
import { listRunSummaries } from './runs/summaries.ts';
import { tryRewards } from './runs/try-rewards.ts';
import { measureFootprint } from './runs/upkeep.ts';
import { watchRun } from './runs/watch.ts';
import * as samplingReports from './sampling-reports/desk.ts';
import { UserError } from './user-error.ts';
import type { Workbench } from './workbench.ts';

/** Every error reaches the window as its one sentence; what is not the person's to mend is also told on stderr. */
const os = implement(contract)
  .$context<Workbench>()
  .use(
    onError((error) => {
      if (error instanceof ORPCError) return;
      const { message, stack } = error as Error;
      if (!(error instanceof UserError) && (error as Error).name !== 'AbortError') console.error(stack);
      throw new ORPCError(error instanceof UserError ? 'BAD_REQUEST' : 'INTERNAL_SERVER_ERROR', { message, cause: error });
    }),
  );

export const router = os.router({
  workbench: {
    about: os.workbench.about.handler(({ context }) => about(context)),
    changes: os.workbench.changes.handler(({ context, signal }) => context.changes.watch(signal)),
    settings: os.workbench.settings.handler(({ context }) => readSettings(context.library)),
    saveSettings: os.workbench.saveSettings.handler(({ context, input }) => saveSettings(context.library, context.changes, input)),
    devices: os.workbench.devices.handler(() => listDevices()),
    testDevice: os.workbench.testDevice.handler(({ input }) => testDevice(input.device)),
  },
  tasks: {
    watch: os.tasks.watch.handler(({ context, signal }) => context.tasks.watch(signal)),
    cancel: os.tasks.cancel.handler(({ context, input }) => context.tasks.cancel(input.id)),
    dismiss: os.tasks.dismiss.handler(({ context, input }) => context.tasks.dismiss(input.id)),
  },
  files: {
    choose: os.files.choose.handler(({ context, input }) => chooseFile(context.shell, input)),
    list: os.files.list.handler(({ input }) => listFolder(input.folder)),
    makeFolder: os.files.makeFolder.handler(({ input }) => makeFolder(input.folder, input.name)),
    reveal: os.files.reveal.handler(({ context, input }) => revealFile(context.shell, input.path)),
  },
  quickstart: {
    state: os.quickstart.state.handler(({ context }) => context.quickstart.state()),
    start: os.quickstart.start.handler(({ context }) => context.quickstart.start()),
    stop: os.quickstart.stop.handler(({ context }) => context.quickstart.stop()),
  },
  models: {
    list: os.models.list.handler(({ context }) => listModelSummaries(context.library)),
    add: os.models.add.handler(({ context, input }) => addModelFolder(context.library, context.changes, input.folder, input.name)),
    remove: os.models.remove.handler(({ context, input }) => removeModelName(context.library, context.changes, input.name)),
  },
  datasets: {
    list: os.datasets.list.handler(({ context }) => desk.summarizeDatasets(context)),
    preview: os.datasets.preview.handler(({ input }) => previewImport(input)),
    import: os.datasets.import.handler(({ context, input }) => desk.importAsTask(context, input)),
    problems: os.datasets.problems.handler(({ context, input }) => desk.listProblemsPage(context, input)),
    create: os.datasets.create.handler(({ context, input }) => desk.createEmpty(context, input)),
    rename: os.datasets.rename.handler(({ context, input }) => desk.rename(context, input)),
    remove: os.datasets.remove.handler(({ context, input }) => desk.remove(context, input)),
    export: os.datasets.export.handler(({ context, input }) => desk.exportAsTask(context, input)),
    tags: os.datasets.tags.handler(({ context, input }) => desk.tags(context, input)),
    openView: os.datasets.openView.handler(({ context, input }) => desk.openView(context, input)),
    closeView: os.datasets.closeView.handler(({ context, input }) => context.datasets.closeView(input.view)),
    rows: os.datasets.rows.handler(({ context, input }) => desk.rowsOfView(context, input)),
    ids: os.datasets.ids.handler(({ context, input }) => desk.idsOfView(context, input)),
    locate: os.datasets.locate.handler(({ context, input }) => desk.locate(context, input)),
    edit: os.datasets.edit.handler(({ context, input }) => editDataset(context, input)),
    undo: os.datasets.undo.handler(({ context, input }) => turnEdit(context, input.dataset, 'undo')),
    redo: os.datasets.redo.handler(({ context, input }) => turnEdit(context, input.dataset, 'redo')),
    judge: os.datasets.judge.handler(({ context, input }) => desk.judgeAsTask(context, input)),
    score: os.datasets.score.handler(({ context, input }) => desk.scoreAsTask(context, input)),
    scoring: os.datasets.scoring.handler(({ context, input }) => desk.scoring(context, input)),
    rubric: os.datasets.rubric.handler(() => RUBRIC),
    judging: os.datasets.judging.handler(({ context, input }) => desk.judging(context, input)),
    render: os.datasets.render.handler(({ context, input }) => desk.render(context, input)),
  },
  training: {
    fits: os.training.fits.handler(({ context, input }) => context.estimator.fits(input.recipe, input.reached)),
    estimate: os.training.estimate.handler(({ context, input }) => context.estimator.estimate(input.recipe)),
    tryRewards: os.training.tryRewards.handler(({ context, input }) => tryRewards(context, input)),
    start: os.training.start.handler(({ context, input }) => context.runs.start(input.recipe)),
  },
  runs: {
    list: os.runs.list.handler(({ context }) => listRunSummaries(context.library, context.runs.state)),
    watch: os.runs.watch.handler(({ context, input, signal }) => watchRun(context.library, context.runs, input.id, signal)),
    curves: os.runs.curves.handler(({ context, input }) => readWholeCurves(context.library, input.id)),
    sampledSteps: os.runs.sampledSteps.handler(({ context, input }) => listSampledSteps(context.library, input.id)),
    sampledAnswers: os.runs.sampledAnswers.handler(({ context, input }) => readSampledAnswers(context.library, input)),
    pause: os.runs.pause.handler(({ context, input }) => context.runs.pause(input.id)),
    resume: os.runs.resume.handler(({ context, input }) => context.runs.resume(input.id)),
    stop: os.runs.stop.handler(({ context, input }) => context.runs.stop(input.id)),
    rename: os.runs.rename.handler(({ context, input }) => context.runs.rename(input.id, input.name)),
    reorder: os.runs.reorder.handler(({ context, input }) => context.runs.reorder(input.ids)),
    footprint: os.runs.footprint.handler(({ context, input }) => measureFootprint(context.library, input.id)),
    remove: os.runs.remove.handler(({ context, input }) => context.runs.remove(input.id)),
  },
  playground: {
    list: os.playground.list.handler(({ context }) => context.playground.list()),
    create: os.playground.create.handler(({ context, input }) => ({ id: context.playground.create(input) })),
    watch: os.playground.watch.handler(({ context, input, signal }) => context.playground.watch(input.id, signal)),
    configure: os.playground.configure.handler(({ context, input: { id, ...configuration } }) => context.playground.configure(id, configuration)),
    remove: os.playground.remove.handler(({ context, input }) => context.playground.remove(input.id)),
    send: os.playground.send.handler(({ context, input }) => context.playground.send(input.id, input.text)),
    resend: os.playground.resend.handler(({ context, input }) => context.playground.resend(input.id, input.turn, input.text)),
    stop: os.playground.stop.handler(({ context, input }) => context.playground.stop(input.id)),
    vote: os.playground.vote.handler(({ context, input }) => vote(context, input)),
    savePair: os.playground.savePair.handler(({ context, input }) => savePair(context, input)),
    rank: os.playground.rank.handler(({ context, input }) => rank(context, input)),
    saveRanking: os.playground.saveRanking.handler(({ context, input }) => saveRanking(context, input)),
    look: os.playground.look.handler(({ context, input, signal }) => lookAt(context, input, signal)),
    read: os.playground.read.handler(({ context, input, signal }) => readAnswer(context, input, signal)),
    branch: os.playground.branch.handler(({ context, input: { id, ...place } }) => ({ id: context.playground.branch(id, place) })),
    checkConstraint: os.playground.checkConstraint.handler(({ context, input }) => checkConstraint(context, input)),
    presets: os.playground.presets.handler(({ context, input }) => presetsOf(context, input.models)),
    savePreset: os.playground.savePreset.handler(({ context, input }) => savePreset(context, input)),
    removePreset: os.playground.removePreset.handler(({ context, input }) => removePreset(context, input)),
    templates: os.playground.templates.handler(({ context }) => templatesOf(context)),
    saveTemplate: os.playground.saveTemplate.handler(({ context, input }) => saveTemplate(context, input)),
    removeTemplate: os.playground.removeTemplate.handler(({ context, input }) => removeTemplate(context, input)),
    undoRanking: os.playground.undoRanking.handler(({ context, input }) => undoRanking(context, input)),
  },
  votes: {
    scores: os.votes.scores.handler(({ context }) => scores(context.library)),
    list: os.votes.list.handler(({ context, input }) => listVotes(context.library, input.count)),
  },
  exports: {
    list: os.exports.list.handler(({ context }) => listExports(context.library)),
    unfinished: os.exports.unfinished.handler(({ context }) => listUnfinished(context.library)),
    goOn: os.exports.goOn.handler(({ context, input }) => goOnWithExport(context, input.id)),
    discard: os.exports.discard.handler(({ context, input }) => discardExport(context, input.id)),
    start: os.exports.start.handler(({ context, input }) => startExport(context, input)),
    verify: os.exports.verify.handler(({ context, input }) => verifyExport(context, input.id)),
    suggestFolder: os.exports.suggestFolder.handler(({ context, input }) => suggestFolder(context.library, input)),
    forget: os.exports.forget.handler(({ context, input }) => forgetExport(context, input.id)),
  },
  samplingReports: {
    list: os.samplingReports.list.handler(({ context }) => samplingReports.listReports(context)),
    get: os.samplingReports.get.handler(({ context, input }) => samplingReports.getReport(context, input.id)),
    remove: os.samplingReports.remove.handler(({ context, input }) => samplingReports.removeReport(context, input.id)),
    bestOf: os.samplingReports.bestOf.handler(({ context, input }) => samplingReports.startBestOf(context, input)),
    consistency: os.samplingReports.consistency.handler(({ context, input }) => samplingReports.startConsistency(context, input)),
  },
  methodReports: {
    list: os.methodReports.list.handler(({ context }) => context.methodReports.list()),
    get: os.methodReports.get.handler(({ context, input }) => context.methodReports.get(input.id)),
    start: os.methodReports.start.handler(({ context, input }) => context.methodReports.start(input)),
    resume: os.methodReports.resume.handler(({ context, input }) => context.methodReports.resume(input.id)),
    stop: os.methodReports.stop.handler(({ context, input }) => context.methodReports.stop(input.id)),
    remove: os.methodReports.remove.handler(({ context, input }) => context.methodReports.remove(input.id)),
    save: os.methodReports.save.handler(({ context, input }) => saveReport(context, input)),
  },
  inspection: {
    get: os.inspection.get.handler(({ context, input }) => inspect(context.library, input.model)),
    vocabulary: os.inspection.vocabulary.handler(({ context, input }) => context.vocabularies.page(context.library, input)),
    numbers: os.inspection.numbers.handler(({ context, input }) => keptNumbers(context.library, input.model)),
    weigh: os.inspection.weigh.handler(({ context, input }) => startWeighing(context, input.model)),
    changes: os.inspection.changes.handler(({ context, input }) => keptChanges(context.library, input.model, input.other)),
    compare: os.inspection.compare.handler(({ context, input }) => startDiff(context, input.model, input.other)),
  },
  serving: {
    watch: os.serving.watch.handler(({ context, signal }) => context.serving.watch(signal)),
    start: os.serving.start.handler(({ context, input }) => context.serving.start(input)),
    stop: os.serving.stop.handler(({ context }) => context.serving.stop()),
  },
});
