/**
 * `attune …`: the commands, and what their ends mean. Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 a schema or grammar that cannot be enforced, 130 interrupted.
 * An error is one sentence on stderr; ATTUNE_DEBUG=1 adds where it came from. What a command does is in commands/.
 */
import { Command, CommanderError } from 'commander';
import { addCompareCommands } from './commands/compare.ts';
import { addConsistency } from './commands/consistency.ts';
import { addDataCommands } from './commands/data.ts';
import { addDevicesCommand } from './commands/devices.ts';
import { addFilter } from './commands/filter.ts';
import { addInspect } from './commands/inspect.ts';
import { addJudge } from './commands/judge.ts';
import { addModelCommands } from './commands/models.ts';
import { addQuickstart } from './commands/quickstart.ts';
import { addReport } from './commands/report.ts';
import { addSampleCommands } from './commands/sample.ts';
import { addScoreCommand } from './commands/score.ts';
import { addServeCommand } from './commands/serve.ts';
import { addTrainCommands } from './commands/train.ts';
import { libraryFolder } from './library.ts';
import { VERSION } from './paths.ts';
import { ConstraintRefused } from './engine.ts';
import { UserError } from './user-error.ts';

const program = new Command('attune')
  .description('Align language models on your own machine, offline: import data, fine-tune (SFT, DPO, reward models), compare, export.')
  .version(VERSION)
  .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
  .showHelpAfterError('(--help tells more)')
  .exitOverride()
  .addHelpText('after', `
The whole road on the embedded model, in minutes:
  attune quickstart

From base to export:
  attune import instructions.jsonl --name my-data     rows into the library
  attune show attune-base my-data                     what is trained: tokens and their loss mask
  attune train sft.yaml                               a run by a recipe (attune train --help tells its fields)
  attune compare attune-base my-sft --prompts p.txt   answers side by side
  attune export my-sft --format gguf --out ./out      for llama.cpp, transformers, PEFT

Exit codes: 0 done, 1 failed, 2 wrong usage or input, 130 interrupted. ATTUNE_HOME names the library; now ${libraryFolder()}`);

addDataCommands(program);
addTrainCommands(program);
addSampleCommands(program);
addConsistency(program);
addServeCommand(program);
addCompareCommands(program);
addJudge(program);
addScoreCommand(program);
addFilter(program);
addModelCommands(program);
addInspect(program);
addDevicesCommand(program);
addQuickstart(program);
addReport(program);

// a reader that has seen enough (attune … | head) is no failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCode(error);
}

function exitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // it has said what it had to
  const { message, stack } = error as Error;
  process.stderr.write(`${(process.env.ATTUNE_DEBUG ? stack : undefined) ?? message.split('\n').map((line) => `attune: ${line}`).join('\n')}\n`);
  if (error instanceof ConstraintRefused) return 3;
  return error instanceof UserError ? 2 : 1;
}
