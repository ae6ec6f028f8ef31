/** `attune report`: methods on the same base and data, trained and measured alike; one table, and one page as HTML. */
import type { Command } from 'commander';
import { writeFileSync } from 'node:fs';
import type { Share } from '../../shared/judging.ts';
import { type MethodReport, ReportMethod, ReportSettings, roadSeconds } from '../../shared/method-report.ts';
import type { Library } from '../library.ts';
import { reportHtml } from '../method-reports/html.ts';
import { claimReport, createReport, driveReport, getReportRow, importEmbedded, toReport, type Trainer } from '../method-reports/index.ts';
import { createRun, getRunById, resumeRun, startRun } from '../runs/index.ts';
import { explainIssues } from '../schema-errors.ts';
import { formatBytes, formatSeconds, print, printJson, table, tell } from '../terminal.ts';
import { UserError } from '../user-error.ts';
import { addMachineOptions, type MachineOptions, parseCount } from './options.ts';
import { createProgress } from './progress.ts';
import { withLibrary } from './with-library.ts';

type ReportFlags = MachineOptions & {
  name?: string; model?: string; instructions?: string; preferences?: string; methods?: string; judge?: string; prompts?: number; maxSteps?: number;
  resume?: number; show?: number; html?: string; json?: boolean;
};

const DEFAULTS = ReportSettings.parse({});
const help = (field: keyof ReportSettings): string => ReportSettings.shape[field].description ?? '';

export function addReport(program: Command): void {
  const command = program
    .command('report')
    .description('several methods on the same base and data: quality, time and memory in one table')
    .option('--methods <list>', `${help('methods')} (${ReportMethod.options.join(', ')})`, DEFAULTS.methods.join(','))
    .option('--judge <judge>', help('judge'), DEFAULTS.judge)
    .option('--model <model>', help('model'), DEFAULTS.model)
    .option('--instructions <dataset>', help('instructions'), DEFAULTS.instructions)
    .option('--preferences <dataset>', help('preferences'), DEFAULTS.preferences)
    .option('--prompts <n>', help('prompts'), parseCount, DEFAULTS.prompts)
    .option('--max-steps <n>', help('maxSteps'), parseCount, DEFAULTS.maxSteps)
    .option('--name <name>', help('name'), DEFAULTS.name)
    .option('--resume <number>', 'go on with a report that was broken off', parseCount)
    .option('--show <number>', 'a report of the library, once more', parseCount)
    .option('--html <file>', 'write it as one page that needs nothing else; a browser prints it as PDF')
    .option('--json', 'as JSON')
    .addHelpText('after', `
Every method is an ordinary run by its recipe in resources/recipes; what it stands on (SFT, reward models) is trained once. All models answer the same held-out
prompts, and the SFT model's answers are what the others are held against. Ctrl-C stops; --resume goes on where it was.

Examples:
  attune report --methods sft,dpo --html report.html
  attune report --methods rejection,ppo,grpo,dpo,kto --judge gold
  attune report --resume 1`);
  addMachineOptions(command).action((flags: ReportFlags) => withLibrary((library) => run(library, flags)));
}

async function run(library: Library, flags: ReportFlags): Promise<void> {
  const id = flags.show ?? flags.resume ?? (await create(library, flags));
  if (flags.show === undefined) {
    if (flags.resume !== undefined) claimReport(library, id);
    await follow(library, id, flags);
  }
  const report = toReport(getReportRow(library, id), null);
  if (flags.html !== undefined) writePage(flags.html, report);
  if (flags.json) return printJson(report);
  tellReport(report);
  if (report.status === 'done') return;
  tell(`report ${id} is ${report.status}; attune report --resume ${id} goes on`);
  process.exitCode = 130;
}

async function create(library: Library, { name, model, instructions, preferences, methods, judge, prompts, maxSteps }: ReportFlags): Promise<number> {
  const given = { name, model, instructions, preferences, judge, prompts, maxSteps, methods: methods?.split(',').map((method) => method.trim()).filter(Boolean) };
  const parsed = ReportSettings.safeParse(given);
  if (!parsed.success) throw new UserError(explainIssues(parsed.error, given, ReportSettings).join('\n'));
  if (instructions === DEFAULTS.instructions || preferences === DEFAULTS.preferences) await importEmbedded(library);
  return createReport(library, parsed.data);
}

async function follow(library: Library, id: number, { device, threads }: MachineOptions): Promise<void> {
  const controller = new AbortController();
  const progress = createProgress();
  const stop = (): void => {
    progress.note('stopping, and keeping what there is');
    controller.abort();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const trainer: Trainer = {
    create: (recipe) => createRun(library, recipe).id,
    async train(runId, signal) {
      const run = getRunById(library, runId);
      const training = run.status === 'queued' ? startRun(library, run, { device, threads }) : resumeRun(library, run, { device, threads });
      signal.addEventListener('abort', training.stop);
      for await (const event of training.events) progress.show(event);
      signal.removeEventListener('abort', training.stop);
    },
  };
  let last = '';
  progress.note(`report ${id}: ${getReportRow(library, id).name}`);
  try {
    await driveReport(library, id, {
      trainer, signal: controller.signal, machine: { device, threads },
      onProgress(doing) {
        const line = doing ? `${doing.method}: ${doing.stage === 'train' ? 'training' : 'measuring'}` : '';
        if (line !== '' && line !== last) progress.note(line);
        last = line;
      },
    });
  } finally {
    progress.end();
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

function writePage(file: string, report: MethodReport): void {
  try {
    writeFileSync(file, reportHtml(report, 'en'));
  } catch (error) {
    throw new UserError(`${file}: the page cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
  tell(`written to ${file}`);
}

function tellReport({ entries, judge }: MethodReport): void {
  const scored = (['reward', 'gold'] as const).filter((by) => entries.some(({ measure }) => measure?.[by]));
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const around = ({ value, high }: Share): string => `${value.toFixed(2)} ± ${(high - value).toFixed(2)}`;
  const rows = entries.map((entry) => {
    const { method, trained, measure, models } = entry;
    const versus = measure?.versus;
    const road = roadSeconds(entries, method);
    return [
      method,
      versus ? `${versus.win}/${versus.tie}/${versus.loss}` : '',
      versus ? `${percent(versus.rate.value)} (${percent(versus.rate.low)} to ${percent(versus.rate.high)})` : '',
      measure ? around(measure.score) : '',
      ...scored.map((by) => (measure?.[by] ? around(measure[by]) : '')),
      measure?.kl ? measure.kl.value.toFixed(2) : '',
      measure ? measure.perplexity.toFixed(2) : '',
      measure ? percent(measure.preferenceAccuracy.value) : '',
      trained ? formatSeconds(trained.seconds) : '',
      trained && road !== null ? formatSeconds(road) : '',
      trained?.peakMemoryBytes ? formatBytes(trained.peakMemoryBytes) : '',
      trained ? trained.tokens.toLocaleString('en-US') : '',
      models ? String(models) : '',
    ];
  });
  const head = ['', 'win/tie/loss', 'win rate vs SFT (95 %)', judge.most === null ? 'score' : `score of ${judge.most}`, ...scored, 'KL', 'perplexity', 'pairs', 'time', 'with what it needs', 'memory', 'tokens', 'models'];
  print(table([head, ...rows]));
  print(`win/tie/loss and score: ${judge.text}; KL from the SFT model, nats an answer; pairs: held-out ones whose chosen answer is the likelier${scored.length > 0 ? '; reward, gold: mean scores by the reward model that methods learn from and by the one that none does' : ''}`);
}
