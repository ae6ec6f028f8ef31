/** `attune quickstart`: runs the quickstart, shows it going, and ends with one table of what came out. */
import type { Command } from 'commander';
import { writeFileSync } from 'node:fs';
import type { EngineEvent } from '../../shared/job.ts';
import { RULE_TEXT } from '../playground/judge.ts';
import { quickstart, type QuickstartResult, type QuickstartStage } from '../quickstart/index.ts';
import { formatBytes, formatSeconds, print, table, tell } from '../terminal.ts';
import { UserError } from '../user-error.ts';
import { addMachineOptions, type MachineOptions } from './options.ts';
import { createProgress } from './progress.ts';
import { withLibrary } from './with-library.ts';

const STAGES: Record<QuickstartStage, string> = {
  sft: 'SFT: the base learns to follow instructions',
  dpo: 'DPO: the instruction model learns which answers are preferred',
  evaluate: 'evaluating base, SFT and DPO on held-out rows',
  compare: 'SFT and DPO answer held-out prompts',
  export: 'exporting the winner',
};

export function addQuickstart(program: Command): void {
  const command = program
    .command('quickstart')
    .description('the whole road on the embedded model in under three minutes: SFT, DPO, compare, export')
    .option('--json <file>', 'write the numbers of the closing table to a file')
    .addHelpText('after', `
Its two runs stay in the library (attune runs), and so do their models: attune chat attune-dpo.

Example:
  attune quickstart --json numbers.json`);
  addMachineOptions(command).action(({ device, threads, json }: MachineOptions & { json?: string }) =>
    withLibrary(async (library) => {
      const progress = createProgress();
      let stage: QuickstartStage | null = null;
      const onEvent = (now: QuickstartStage, event: EngineEvent | null): void => {
        if (now !== stage) {
          progress.end();
          tell(`\n${STAGES[now]}`);
          stage = now;
        }
        if (event && (now === 'sft' || now === 'dpo')) progress.show(event);
      };
      const result = await quickstart(library, { device, threads }, onEvent).finally(() => progress.end());
      printResult(result);
      if (json) writeResult(json, result);
    }),
  );
}

function printResult(result: QuickstartResult): void {
  const { loss, perplexity, preference, compare, models } = result;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  print('\nThe same prompts, never trained on:\n');
  for (const { prompt, base, sft, dpo } of result.examples) {
    print(`  ${prompt.replaceAll('\n', ' ')}`);
    for (const [name, answer] of [['base', base], ['SFT', sft], ['DPO', dpo]]) print(`    ${name.padEnd(5)} ${answer.replaceAll('\n', ' ').slice(0, 110) || '(nothing)'}`);
  }
  print('\nOn held-out rows:\n');
  print(
    table([
      ['', 'base', 'SFT', 'DPO'],
      ['instructions: loss (nats/token)', ...[loss.base, loss.sft, loss.dpo].map((value) => value.toFixed(3))],
      ['instructions: perplexity', ...[perplexity.base, perplexity.sft, perplexity.dpo].map((value) => value.toFixed(2))],
      ['preference pairs: chosen is likelier', ...[preference.base, preference.sft, preference.dpo].map(({ accuracy }) => percent(accuracy))],
      ['preference pairs: reward accuracy over SFT', '', '', percent(preference.dpo.rewardAccuracy)],
      ['preference pairs: reward margin over SFT', '', '', preference.dpo.margin.toFixed(2)],
      ['answers: mean points of 5', '', compare.sftPoints.toFixed(2), compare.dpoPoints.toFixed(2)],
    ]),
  );
  print(`\nDPO against SFT on ${compare.prompts} held-out prompts: ${compare.win} wins, ${compare.tie} ties, ${compare.loss} losses`);
  print(`  (${RULE_TEXT})`);
  print(`winner ${models.winner}, exported to ${result.exported}`);
  print(`wall time ${formatSeconds(result.wallSeconds)}, peak memory ${formatBytes(result.peakMemoryBytes)}`);
  print(`next: attune chat ${models.winner}, attune runs, attune --help`);
}

function writeResult(file: string, result: QuickstartResult): void {
  try {
    writeFileSync(file, JSON.stringify(result, null, 2) + '\n');
  } catch (error) {
    throw new UserError(`${file}: the numbers cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}
