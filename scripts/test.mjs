/**
 * `npm test`: the build, lint, types, every vitest file, the user stories (Playwright), and one closing line
 * `N passed, N failed, N skipped` for the CI to count. Build, types and lint count as one test each. Arguments choose: a *.spec.ts goes to
 * Playwright, the rest to vitest. The slow proofs of e2e/slow run with `--slow`, or when one of them is named.
 *
 * A test that fails is tried once more: one that passes then counts as passed, and is named at the end, since it is a fault to be mended.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureChromium } from './chromium.mjs';
import { node24 } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const wanted = process.argv.slice(2).filter((arg) => arg !== '--slow');
const slow = process.argv.includes('--slow') || wanted.some((arg) => arg.includes('e2e/slow'));
const env = {
  ...process.env,
  PATH: [join(modules, '.bin'), process.env.PATH].join(delimiter),
  ATTUNE_SLOW: slow ? '1' : '',
  NODE_COMPILE_CACHE: join(root, 'build', 'compile-cache'), // hundreds of processes of ours are started: half of their start is compiling
};
const total = { passed: 0, failed: 0, skipped: 0 };
const secondTries = [];

/** Resolves to whether it went well. What it says is shown as it comes, or at its end where others run beside it. */
function run(script, args, { more = {}, together = false } = {}) {
  const child = spawn(node24, [join(root, script), ...args], { cwd: root, stdio: together ? ['ignore', 'pipe', 'pipe'] : 'inherit', env: { ...env, ...more } });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => said.push(chunk));
  return new Promise((resolve) => {
    child.on('error', (error) => said.push(Buffer.from(`${error.message}\n`)));
    child.on('close', (code) => {
      process.stdout.write(Buffer.concat(said));
      resolve(code === 0);
    });
  });
}

async function step(title, work) {
  const start = Date.now();
  console.log(`\n── ${title}`);
  const ok = await work();
  console.log(`── ${title}: ${ok ? 'ok' : 'failed'} in ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return ok;
}

async function check(title, work) {
  if (await step(title, work)) total.passed++;
  else total.failed++;
}

/** Runs a test runner that writes its counts to a file; a failure outside any test fails one. */
async function countTests(title, file, work, read) {
  const report = join(root, 'build', file);
  rmSync(report, { force: true });
  const ok = await step(title, () => work(report));
  const none = { passed: 0, failed: 0, skipped: 0, again: [] };
  const { passed, failed, skipped, again } = existsSync(report) ? read(JSON.parse(readFileSync(report, 'utf8'))) : none;
  total.passed += passed;
  total.failed += failed || (ok ? 0 : 1);
  total.skipped += skipped;
  secondTries.push(...again);
}

function readVitest({ numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults }) {
  const again = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.filter(({ status, failureMessages }) => status === 'passed' && failureMessages.length > 0).map(({ fullName }) => `${relative(root, name)}: ${fullName}`),
  );
  return { passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests + numTodoTests, again };
}

function readStories({ stats: { expected, unexpected, flaky, skipped }, suites }) {
  const specs = (suite) => [...(suite.specs ?? []), ...(suite.suites ?? []).flatMap(specs)];
  const again = suites.flatMap(specs).flatMap(({ file, title, tests }) => tests.filter(({ status }) => status === 'flaky').map(() => `e2e/${file}: ${title}`));
  return { passed: expected + flaky, failed: unexpected, skipped, again };
}

mkdirSync(join(root, 'build'), { recursive: true });
const stories = wanted.filter((arg) => arg.endsWith('.spec.ts'));
const others = wanted.filter((arg) => !arg.endsWith('.spec.ts'));
const together = { together: true };

// the build is first: it makes the messages that the renderer's types come from, and the bundles that are tested. Where two can run beside each
// other they do: each of them leaves a core idle most of the time
await Promise.all([
  check('build', () => run('scripts/build.mjs', [], together)),
  check('lint', () => run('node_modules/eslint/bin/eslint.js', ['.', '--max-warnings', '0', '--cache', '--cache-location', 'build/eslint-cache'], together)),
]);
const types = check('types', async () => {
  const svelteCheck = ['--tsconfig', 'tsconfig.renderer.json', '--fail-on-warnings'];
  return (await run('node_modules/typescript/bin/tsc', ['-b'], together)) && run('node_modules/svelte-check/bin/svelte-check', svelteCheck, together);
});
if (others.length > 0 || stories.length === 0) {
  await countTests(
    'tests',
    'test-report.json',
    (report) => run('node_modules/vitest/vitest.mjs', ['run', '--retry=1', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...others]),
    readVitest,
  );
}
await types;
const haveStories = readdirSync(join(root, 'e2e')).some((name) => name.endsWith('.spec.ts'));
if (haveStories && (stories.length > 0 || others.length === 0)) {
  const chromium = ensureChromium();
  await countTests(
    'user stories',
    'stories-report.json',
    (report) => {
      const more = { PLAYWRIGHT_JSON_OUTPUT_FILE: report, ...(chromium ? { CHROME_PATH: chromium } : {}) };
      return run('node_modules/@playwright/test/cli.js', ['test', '--retries=1', '--reporter=list,json', ...stories], { more });
    },
    readStories,
  );
}

if (!slow && wanted.length === 0) console.log('\nThe slow proofs (e2e/slow: the whole quickstart) were left out; `npm test -- --slow` runs them too.');
if (secondTries.length > 0) console.log(`\nPassed only at a second try, so something in them depends on time:\n${secondTries.map((name) => `  ${name}`).join('\n')}`);
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed ? 1 : 0);
