/** `attune models` and `export`: what there is to train and sample from, and the way out of the library. */
import { type Command, Option } from 'commander';
import { resolve } from 'node:path';
import type { TemplateProblem } from '../../shared/dataset.ts';
import type { ExportJob } from '../../shared/job.ts';
import { getExport } from '../db/exports.ts';
import { explainParity } from '../exports/card.ts';
import { exportModel } from '../exports/index.ts';
import { readFacts } from '../models/facts.ts';
import { checkExport } from '../exports/parity.ts';
import { addModel, listModels, removeModel, resolveModel } from '../models/index.ts';
import { formatBytes, print, printJson, table, tell } from '../terminal.ts';
import { type AboutOptions, addAboutOptions, readAbout } from './about.ts';
import { createCounter } from './progress.ts';
import { withLibrary } from './with-library.ts';

const TEMPLATE_PROBLEMS: Record<TemplateProblem, string> = {
  'drops-system': 'its chat template leaves system messages out: what they say is neither trained nor heard',
  'drops-tools': 'its chat template leaves tools out: the model answers without seeing them',
  'refuses-system': 'its chat template refuses system messages: rows that have one are left out',
  'no-end-of-turn': 'its chat template forgets the end-of-turn token: training adds it after each answer, but elsewhere the model may not know where to stop',
  fails: 'its chat template cannot be used: choose template chatml or alpaca',
};

export function addModelCommands(program: Command): void {
  const models = program
    .command('models')
    .description('list models: embedded ones, added folders, and what runs made')
    .option('--json', 'as JSON')
    .addHelpText('after', `
Wherever a command wants a MODEL it takes a name from this list, RUN@STEP for one of a run's other checkpoints,
a Hugging Face folder (config.json, model.safetensors, tokenizer.json), a GGUF file, or a PEFT adapter folder.

Examples:
  attune models
  attune models add ~/models/SmolLM2-135M --name smol`)
    .action((options: { json?: boolean }) =>
      withLibrary((library) => {
        const all = listModels(library);
        if (options.json) return printJson(all);
        if (all.length === 0) return tell('no model yet; attune models add FOLDER adds one');
        const rows = all.map(({ name, kind, path }) => [name, kind, path.adapter ? `${path.adapter} on ${path.folder}` : path.folder]);
        print(table([['name', 'kind', 'where'], ...rows]));
      }),
    );
  models
    .command('add')
    .description('give a model folder a name; its files stay where they are')
    .argument('<folder>', 'Hugging Face model folder, GGUF file, or PEFT adapter folder')
    .option('--name <name>', "by default the folder's name")
    .action((folder: string, options: { name?: string }) =>
      withLibrary(async (library) => {
        const model = addModel(library, folder, options.name);
        print(`${model.name}: ${model.path.adapter ?? model.path.folder}`);
        const { problem, templateProblems } = (await readFacts(library, [model.path.folder])).get(model.path.folder)!;
        if (problem) tell(`warning: ${problem}`);
        for (const kind of templateProblems) tell(`warning: ${TEMPLATE_PROBLEMS[kind]}`);
      }),
    );
  models
    .command('remove')
    .description("take an added model's name out of the library; its files stay")
    .argument('<name>')
    .action((name: string) => withLibrary((library) => removeModel(library, name)));

  const command = program
    .command('export')
    .description('write a model for other programs')
    .argument('<model>')
    .addOption(
      new Option('--format <format>', 'safetensors: a Hugging Face folder, adapters merged; peft: the adapter alone; gguf: for llama.cpp; lora-gguf: the adapter alone, for llama.cpp')
        .choices(['safetensors', 'peft', 'gguf', 'lora-gguf'])
        .makeOptionMandatory(),
    )
    .addOption(new Option('--type <type>', 'how weights are stored; those with q are for gguf').choices(['f32', 'f16', 'bf16', 'q8_0', 'q4_k_m', 'q4_0']).default('f32'))
    .requiredOption('--out <folder>', 'where to')
    .option('--force', 'write into a folder that is not empty')
    .option('--no-check', 'do not load the files again and hold them against the model')
    .option('--json', 'the files with their sizes and hashes, and the check, as JSON');
  addAboutOptions(command)
    .addHelpText('after', `
Recipe and metrics of a trained model go beside it. The folder appears whole or not at all: what is written before that lies hidden beside it, and
where an export was cut off (Ctrl-C, a full disk, a power cut) the same command goes on with it.

Examples:
  attune export attune-base-dpo --format gguf --type q8_0 --out ./out
  attune export my-lora --format peft --out ./adapter
  attune export my-sft --format gguf --out ./out --author 'A. Person' --license apache-2.0 --languages en,ko

What GGUF's metadata and the model card say is taken from the base's own card or metadata and from how the model was made; options go before.

What was written is loaded again and asked what the model is asked; where it answers otherwise the command ends with 1. GGUF is checked
through llama.cpp too where ATTUNE_LLAMA_CPP names a folder with node-llama-cpp.`)
    .action((name: string, options: AboutOptions & { format: ExportJob['format']; type: ExportJob['dtype']; out: string; force?: boolean; check: boolean; json?: boolean }) =>
      withLibrary(async (library) => {
        const model = resolveModel(library, name);
        const onInterrupt = (): void => {
          tell('\nstopped: what is written of it stays, and the same command goes on with it');
          process.exit(130);
        };
        process.on('SIGINT', onInterrupt);
        const onCount = createCounter('tensors');
        const result = await exportModel(library, { model, format: options.format, dtype: options.type, out: options.out, force: options.force, given: readAbout(options), onCount, tell });
        process.off('SIGINT', onInterrupt);
        const parity = options.check ? await checkExport(library, getExport(library.db, result.id)!) : null;
        if (parity && !parity.passed) process.exitCode = 1;
        if (options.json) return printJson({ ...result, parity });
        for (const file of result.files) tell(`${file.name}  ${formatBytes(file.bytes)}  sha256 ${file.sha256}`);
        for (const note of result.notes) tell(note);
        if (parity) tell(`check ${parity.passed ? 'passed' : 'FAILED: do not rely on these files'}: ${explainParity(parity)}`);
        print(resolve(result.path));
      }),
    );
}
