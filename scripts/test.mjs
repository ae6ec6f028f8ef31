/**
 * `npm test`: the build, types, lint, every vitest file, the user stories (Playwright), and one closing line
 * `N passed, N failed, N skipped` for the CI to count. Build, types and lint count as one test each. Arguments choose: a *.spec.ts goes to
 * Playwright, the rest to vitest. The slow proofs of e2e/slow run with `--slow`, or when one of them is named.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { ensureChromium } from './chromium.mjs';
import { node24 } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const wanted = process.argv.slice(2).filter((arg) => arg !== '--slow');
const slow = process.argv.includes('--slow') || wanted.some((arg) => arg.includes('e2e/slow'));
const env = { ...process.env, PATH: [join(modules, '.bin'), process.env.PATH].join(delimiter), ATTUNE_SLOW: slow ? '1' : '' };
const total = { passed: 0, failed: 0, skipped: 0 };

function step(title, work) {
  const start = Date.now();
  console.log(`\n── ${title}`);
  const ok = work();
  console.log(`── ${title}: ${ok ? 'ok' : 'failed'} in ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return ok;
}

function run(script, args, more = {}) {
  return spawnSync(node24, [join(modules, script), ...args], { cwd: root, stdio: 'inherit', env: { ...env, ...more } }).status === 0;
}
const count = (ok) => (ok ? total.passed++ : total.failed++);

/** Runs a test runner that writes its counts to a file; a failure outside any test fails one. */
function countTests(title, file, work, read) {
  const report = join(root, 'build', file);
  rmSync(report, { force: true });
  const ok = step(title, () => work(report));
  const none = { passed: 0, failed: 0, skipped: 0 };
  const { passed, failed, skipped } = existsSync(report) ? read(JSON.parse(readFileSync(report, 'utf8'))) : none;
  total.passed += passed;
  total.failed += failed || (ok ? 0 : 1);
  total.skipped += skipped;
}

mkdirSync(join(root, 'build'), { recursive: true });
const stories = wanted.filter((arg) => arg.endsWith('.spec.ts'));
const others = wanted.filter((arg) => !arg.endsWith('.spec.ts'));

// first: it makes the messages that the renderer's types come from, and the bundles that are tested
count(
  step('build', () => {
    try {
      build();
      return true;
    } catch (error) {
      console.error(error.message);
      return false;
    }
  }),
);
const svelteCheck = ['--tsconfig', 'tsconfig.renderer.json', '--fail-on-warnings'];
count(step('types', () => run('typescript/bin/tsc', ['-b']) && run('svelte-check/bin/svelte-check', svelteCheck)));
count(step('lint', () => run('eslint/bin/eslint.js', ['.', '--max-warnings', '0', '--cache', '--cache-location', 'build/eslint-cache'])));

if (others.length > 0 || stories.length === 0) {
  countTests(
    'tests',
    'test-report.json',
    (report) => run('vitest/vitest.mjs', ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...others]),
    ({ numPassedTests, numFailedTests, numPendingTests, numTodoTests }) => ({
      passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests + numTodoTests,
    }),
  );
}
const haveStories = readdirSync(join(root, 'e2e')).some((name) => name.endsWith('.spec.ts'));
if (haveStories && (stories.length > 0 || others.length === 0)) {
  const chromium = ensureChromium();
  countTests(
    'user stories',
    'stories-report.json',
    (report) => {
      const more = { PLAYWRIGHT_JSON_OUTPUT_FILE: report, ...(chromium ? { CHROME_PATH: chromium } : {}) };
      return run('@playwright/test/cli.js', ['test', '--reporter=list,json', ...stories], more);
    },
    ({ stats: { expected, unexpected, flaky, skipped } }) => ({ passed: expected, failed: unexpected + flaky, skipped }),
  );
}

if (!slow && wanted.length === 0) console.log('\nThe slow proofs (e2e/slow: the whole quickstart) were left out; `npm test -- --slow` runs them too.');
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed ? 1 : 0);
