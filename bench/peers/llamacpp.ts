/**
 * Reading prompts and decoding by llama.cpp, in turn with ours: the same shapes, weights kept alike (its F16 stands beside our bf16), with and
 * without its flash attention, whichever a first run shows to be faster. Eight samples of one prompt are eight separate decodes there: the time of one, eight times.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createNativeDevice } from '../../src/engine/device/native.ts';
import { createModel, sizes, storageKinds } from '../configs.ts';
import { createDecode, createPrefill, createSamples, PROMPT, SAMPLE_STEPS, type Work } from '../decoder.ts';
import { type Bench, compare } from '../measure.ts';
import { openPeer } from './process.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** llama.cpp's name of what a weight is kept as. */
const types = { f32: 'f32', bf16: 'f16', q8_0: 'q8_0' } as const;
/** Tokens a sequence has before it is decoded, and gets then. */
const BEFORE = 16, STEPS = 32;

const library = here('node_modules/@node-llama-cpp/linux-x64/bins/linux-x64');
export const hasLlamaCpp = (): boolean => existsSync(library);

export async function benchLlamaCpp(bench: Bench, only: string, python: string, folder: string): Promise<void> {
  const { threads, toy } = bench.options;
  for (const name of ['S', 'M']) {
    for (const storage of storageKinds) {
      const of = (what: string): string => `sample.${what}.${name}.${storage}`;
      if (!['prefill', 'decode', 'decode8', 'nsamples8'].some((what) => of(what).includes(only))) continue;
      const llama = await openPeer(bench, toy ? '' : build(), [toy ? '' : writeModel(python, folder, name, types[storage]), String(threads)]);
      const model = await createModel(createNativeDevice(threads), sizes[name], { trainable: 'none', storage });

      const beside = async (what: string, tokens: number, command: (flash: number) => string, create: () => Work | Promise<Work>, times = 1): Promise<void> => {
        if (!of(what).includes(only)) return;
        const ours = await create();
        const flash = (await llama.ask(command(0))) <= (await llama.ask(command(1))) ? 0 : 1;
        // theirs begins right after ours, ours after the rest that their threads need to fall asleep: a core that has rested is slow for some 10 ms
        const awake = async (): Promise<number> => {
          await bench.peak(0.05);
          const start = bench.wall();
          await ours.run();
          return bench.wall() - start;
        };
        const { theirs, ratio } = await compare(bench.wall, awake, () => llama.ask(command(flash)), { seconds: 1 });
        ours.free();
        bench.report(`peers.llamacpp.${what}.${name}_${types[storage]}.tokens_per_s`, tokens / (times * theirs), 'tokens/s');
        bench.report(`${of(what)}.vs_llamacpp`, times * ratio, '×');
      };
      const prompt = toy ? 8 : PROMPT;
      await beside('prefill', prompt, (flash) => `prefill ${flash} ${prompt}`, () => createPrefill(model, prompt));
      for (const batch of [1, 8])
        await beside(`decode${batch === 1 ? '' : batch}`, batch * STEPS, (flash) => `decode ${flash} ${batch} ${BEFORE} ${STEPS}`, () => createDecode(model, batch, BEFORE, STEPS));
      await beside('nsamples8', 8 * SAMPLE_STEPS, (flash) => `sample ${flash} ${prompt} ${SAMPLE_STEPS}`, () => createSamples(model, 8, prompt, SAMPLE_STEPS), 8);
      model.free();
      await llama.close();
    }
  }
}

/** Compiles llamacpp.cpp against the package's library, once; the library's headers are in the package as a git bundle. */
function build(): string {
  const program = here('../../build/bench/llamacpp');
  if (existsSync(program) && statSync(program).mtimeMs > statSync(here('llamacpp.cpp')).mtimeMs) return program;
  const source = here('../../build/bench/llama.cpp');
  rmSync(source, { recursive: true, force: true });
  mkdirSync(here('../../build/bench'), { recursive: true });
  execFileSync('git', ['clone', '-q', '--no-checkout', here('node_modules/node-llama-cpp/llama/gitRelease.bundle'), source], { stdio: ['ignore', 'ignore', 'pipe'] });
  const commit = execFileSync('git', ['-C', source, 'rev-list', '--all', '--max-count=1'], { encoding: 'utf8' }).trim();
  execFileSync('git', ['-C', source, 'checkout', '-q', commit, '--', 'include', 'ggml/include']);
  const libraries = ['libllama.v0.5.0.so', 'libggml.v0.5.0.so', 'libggml-base.so'].map((file) => join(library, file));
  execFileSync('g++', ['-O2', '-std=c++17', `-DLIBRARIES="${library}"`, `-I${source}/include`, `-I${source}/ggml/include`, here('llamacpp.cpp'), '-o', program, ...libraries, `-Wl,-rpath,${library}`, '-Wl,--unresolved-symbols=ignore-in-shared-libs']);
  return program;
}

/** A GGUF of random weights (make_gguf.py), kept in build/bench. */
function writeModel(python: string, folder: string, name: string, type: string): string {
  const models = here('../../build/bench/gguf');
  const path = join(models, `${name}-${type}.gguf`);
  if (!existsSync(path)) execFileSync(python, [join(folder, 'make_gguf.py'), models, name, type], { env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' } });
  return path;
}
