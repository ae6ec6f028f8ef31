/**
 * Where the tests are and how they run: each file in a process of its own, since native addons and SQLite live there. The slow proofs of
 * e2e/slow are found only with ATTUNE_SLOW=1 (`npm test -- --slow`).
 */
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { offerSoftwareVulkan } from './scripts/software-vulkan.ts';

// before a test's process starts: the system looks for libraries where it was told then
offerSoftwareVulkan();

/** They take half a minute or more each: begun last, one core would wait for them. Vitest knows that only where it has run before. */
const LONGEST = ['device/conformance', 'runs/estimate', 'e2e/training', 'runs/live', 'e2e/models-and-text', 'e2e/resume', 'exports/exports'].map((name) => `${name}.test.ts`);

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const index = LONGEST.findIndex((name) => moduleId.endsWith(name));
      return index < 0 ? LONGEST.length : index;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    include: ['src/**/*.test.ts', 'e2e/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(process.env.ATTUNE_SLOW ? [] : ['e2e/slow/**'])],
    pool: 'forks',
    // a test waits for processes of its own most of the time: the core that Vitest leaves free would be idle. A slow proof trains on all of them
    maxWorkers: process.env.ATTUNE_SLOW ? undefined : availableParallelism(),
    // long enough for a machine that is busy with other things: how long something takes is not what is tested
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
