/**
 * The user stories of e2e/*.spec.ts: against the built workbench in a real Chromium through the browser host, and the same ones under Electron
 * where its binary is installed (e2e/workbench.ts finds both, and skips saying why). Those of e2e/slow are found only with ATTUNE_SLOW=1 (`npm test -- --slow`).
 */
import { defineConfig } from '@playwright/test';
import type { ShellOption } from './e2e/workbench.ts';

export default defineConfig<ShellOption>({
  testDir: 'e2e',
  testMatch: '*.spec.ts',
  testIgnore: process.env.ATTUNE_SLOW ? [] : '**/e2e/slow/**',
  outputDir: 'build/e2e',
  timeout: 120_000,
  expect: { timeout: 15_000 },
  // a story waits more than it works, but for its engine
  workers: 2,
  reporter: 'list',
  projects: [
    { name: 'browser', use: { shell: 'browser' } },
    { name: 'electron', use: { shell: 'electron' } },
  ],
});
