/**
 * `npm test`: types, then lint, then every vitest file, and one closing line `N passed, N failed, N skipped` for the CI to count.
 * Types and lint count as one test each. Arguments go to vitest (a path, -t NAME).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { node24 } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const report = join(root, 'build', 'test-report.json');
const env = { ...process.env, PATH: [join(modules, '.bin'), process.env.PATH].join(delimiter) };
const total = { passed: 0, failed: 0, skipped: 0 };

function run(title, script, args) {
  const start = Date.now();
  console.log(`\n── ${title}`);
  const { status } = spawnSync(node24, [join(modules, script), ...args], { cwd: root, stdio: 'inherit', env });
  console.log(`── ${title}: ${status === 0 ? 'ok' : 'failed'} in ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return status === 0;
}

const count = (ok) => (ok ? total.passed++ : total.failed++);
count(run('types', 'typescript/bin/tsc', ['-b']));
count(run('lint', 'eslint/bin/eslint.js', ['.', '--max-warnings', '0', '--cache', '--cache-location', 'build/eslint-cache']));

mkdirSync(join(root, 'build'), { recursive: true });
rmSync(report, { force: true });
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
const vitestOk = run('tests', 'vitest/vitest.mjs', ['run', ...reporters, ...process.argv.slice(2)]);
if (existsSync(report)) {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(readFileSync(report, 'utf8'));
  total.passed += numPassedTests;
  total.failed += numFailedTests;
  total.skipped += numPendingTests + numTodoTests;
}
// a file that does not even load, or an error outside any test, fails no test by itself
if (!vitestOk && !total.failed) total.failed++;

console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed || !vitestOk ? 1 : 0);
