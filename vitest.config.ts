/**
 * Where the tests are and how they run: each file in a process of its own, since native addons and SQLite live there. The slow proofs of
 * e2e/slow are found only with ATTUNE_SLOW=1 (`npm test -- --slow`).
 */
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { offerSoftwareVulkan } from './scripts/software-vulkan.ts';

// before a test's process starts: the system looks for libraries where it was told then
offerSoftwareVulkan();

export default defineConfig({
  test: {
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
