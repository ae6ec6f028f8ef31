/**
 * The contract's implementation, one line a procedure: each calls a plain function of the noun's folder. No logic here.
 */
import { implement, onError, ORPCError } from '@orpc/server';
import { contract } from '../shared/api.ts';
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

const notYet = (): never => {
  throw new UserError('not here yet');
};

export const router = os.router({
  workbench: {
    about: os.workbench.about.handler(notYet),
    changes: os.workbench.changes.handler(({ context, signal }) => context.changes.watch(signal)),
    settings: os.workbench.settings.handler(notYet),
    saveSettings: os.workbench.saveSettings.handler(notYet),
  },
  tasks: {
    watch: os.tasks.watch.handler(({ context, signal }) => context.tasks.watch(signal)),
    cancel: os.tasks.cancel.handler(({ context, input }) => context.tasks.cancel(input.id)),
    dismiss: os.tasks.dismiss.handler(({ context, input }) => context.tasks.dismiss(input.id)),
  },
  files: {
    choose: os.files.choose.handler(notYet),
    list: os.files.list.handler(notYet),
    makeFolder: os.files.makeFolder.handler(notYet),
    reveal: os.files.reveal.handler(notYet),
  },
  quickstart: {
    state: os.quickstart.state.handler(notYet),
    start: os.quickstart.start.handler(notYet),
    stop: os.quickstart.stop.handler(notYet),
  },
  models: {
    list: os.models.list.handler(notYet),
    add: os.models.add.handler(notYet),
    remove: os.models.remove.handler(notYet),
  },
  datasets: {
    list: os.datasets.list.handler(notYet),
    preview: os.datasets.preview.handler(notYet),
    import: os.datasets.import.handler(notYet),
    problems: os.datasets.problems.handler(notYet),
    create: os.datasets.create.handler(notYet),
    rename: os.datasets.rename.handler(notYet),
    remove: os.datasets.remove.handler(notYet),
    export: os.datasets.export.handler(notYet),
    tags: os.datasets.tags.handler(notYet),
    openView: os.datasets.openView.handler(notYet),
    closeView: os.datasets.closeView.handler(notYet),
    rows: os.datasets.rows.handler(notYet),
    ids: os.datasets.ids.handler(notYet),
    locate: os.datasets.locate.handler(notYet),
    edit: os.datasets.edit.handler(notYet),
    undo: os.datasets.undo.handler(notYet),
    redo: os.datasets.redo.handler(notYet),
    render: os.datasets.render.handler(notYet),
  },
  training: {
    estimate: os.training.estimate.handler(notYet),
    start: os.training.start.handler(notYet),
  },
  runs: {
    list: os.runs.list.handler(notYet),
    watch: os.runs.watch.handler(notYet),
    curves: os.runs.curves.handler(notYet),
    pause: os.runs.pause.handler(notYet),
    resume: os.runs.resume.handler(notYet),
    stop: os.runs.stop.handler(notYet),
    rename: os.runs.rename.handler(notYet),
    reorder: os.runs.reorder.handler(notYet),
    footprint: os.runs.footprint.handler(notYet),
    remove: os.runs.remove.handler(notYet),
  },
  playground: {
    list: os.playground.list.handler(notYet),
    create: os.playground.create.handler(notYet),
    watch: os.playground.watch.handler(notYet),
    configure: os.playground.configure.handler(notYet),
    remove: os.playground.remove.handler(notYet),
    send: os.playground.send.handler(notYet),
    resend: os.playground.resend.handler(notYet),
    stop: os.playground.stop.handler(notYet),
    vote: os.playground.vote.handler(notYet),
    savePair: os.playground.savePair.handler(notYet),
  },
  votes: {
    scores: os.votes.scores.handler(notYet),
    list: os.votes.list.handler(notYet),
  },
  exports: {
    list: os.exports.list.handler(notYet),
    start: os.exports.start.handler(notYet),
    verify: os.exports.verify.handler(notYet),
    suggestFolder: os.exports.suggestFolder.handler(notYet),
    forget: os.exports.forget.handler(notYet),
  },
});
