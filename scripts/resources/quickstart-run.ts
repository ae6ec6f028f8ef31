/**
 * Trains the small run that a new library shows as finished: LoRA of rank 3 on the embedded base, with the embedded instructions, in a library
 * of its own. Writes resources/quickstart/: run.json (recipe, metrics, samples, times) and the adapter.
 *
 *   node scripts/resources/quickstart-run.ts
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importDataset } from '../../src/main/datasets/index.ts';
import { listMetricsAfter } from '../../src/main/db/metrics.ts';
import { listSamplesAfter } from '../../src/main/db/samples.ts';
import { closeLibrary, openLibrary } from '../../src/main/library.ts';
import { RESOURCES } from '../../src/main/paths.ts';
import { EMBEDDED_DATASETS, EXAMPLE_CHECKPOINT, EXAMPLE_FILE, ExampleRun } from '../../src/main/quickstart/example-run.ts';
import { createRun, getRunById, startRun } from '../../src/main/runs/index.ts';
import { parseRecipe } from '../../src/main/runs/recipe-file.ts';

const OUT = join(RESOURCES, 'quickstart');
const RECIPE = {
  method: 'sft', name: 'example-lora', model: 'attune-base', dataset: 'instructions', template: 'chat', seed: 42, maxLength: 128,
  maxSteps: 160, perDeviceTrainBatchSize: 16, packing: true, evalSteps: 20, saveTotalLimit: 1, loggingSteps: 1,
  lora: { r: 3, loraAlpha: 12 },
  optimizer: { learningRate: 5e-3, lrSchedulerType: 'cosine', warmupRatio: 0.05, minLrRatio: 0.02, maxGradNorm: 1 },
};

const folder = mkdtempSync(join(tmpdir(), 'attune-example-'));
const library = openLibrary(folder);
try {
  for (const { name, split, file } of EMBEDDED_DATASETS) {
    if (name === RECIPE.dataset) await importDataset(library, { file: join(RESOURCES, 'datasets', file), name, split });
  }
  const { id } = createRun(library, parseRecipe(RECIPE, 'the example'));
  for await (const event of startRun(library, getRunById(library, id)).events) {
    if (event.type === 'progress') process.stdout.write(`\rstep ${event.step} of ${event.totalSteps}`);
  }
  const run = getRunById(library, id);
  const checkpoint = run.checkpoints.find(({ best }) => best) ?? run.checkpoints[run.checkpoints.length - 1];
  const example: ExampleRun = ExampleRun.parse({
    recipe: run.recipe, trainSha256: run.trainSha256, validationSha256: run.validationSha256, device: run.device, engineVersion: run.engineVersion,
    steps: run.totalSteps, seconds: run.seconds, peakMemoryBytes: run.peakMemoryBytes, parameters: run.parameters, trainableParameters: run.trainableParameters,
    startedAt: run.startedAt, finishedAt: run.finishedAt, last: run.last, progress: run.progress,
    checkpoint: { step: checkpoint.step, sha256: checkpoint.sha256, best: checkpoint.best },
    metrics: listMetricsAfter(library.db, id, -1, 1e6), samples: listSamplesAfter(library.db, id, -1),
  });
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(join(OUT, EXAMPLE_CHECKPOINT), { recursive: true });
  writeFileSync(join(OUT, EXAMPLE_FILE), `${JSON.stringify(example)}\n`);
  cpSync(join(checkpoint.path, 'adapter_model.safetensors'), join(OUT, EXAMPLE_CHECKPOINT, 'adapter_model.safetensors'));
  const config = JSON.parse(readFileSync(join(checkpoint.path, 'adapter_config.json'), 'utf8')) as object;
  writeFileSync(join(OUT, EXAMPLE_CHECKPOINT, 'adapter_config.json'), `${JSON.stringify({ ...config, base_model_name_or_path: RECIPE.model }, null, 2)}\n`);
  console.log(`\n${OUT}: ${run.seconds.toFixed(0)} s of training, last values ${JSON.stringify(run.last)}`);
  for (const { prompt, completion, expected } of example.samples.filter(({ step }) => step === checkpoint.step)) {
    console.log({ prompt: typeof prompt === 'string' ? prompt : prompt[prompt.length - 1].content, completion, expected });
  }
} finally {
  closeLibrary(library);
  rmSync(folder, { recursive: true });
}
