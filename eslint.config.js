/**
 * The linter: the languages' recommended rules, and the house's one table of who may import whom (DESIGN: imports only go down).
 * What the table cannot say — a layer's own folder reached by its path — the composite tsconfigs hold.
 */
import svelte from 'eslint-plugin-svelte';
import tseslint from 'typescript-eslint';

const above = '(?:main|renderer|preload)/';
const ui = ['svelte', 'zod$', 'bits-ui$', '@lucide/svelte/', 'uplot', 'diff$', 'yaml$', 'codemirror$', '@codemirror/', '@lezer/highlight$'];

/**
 * Per row: files, and what their import specifiers may be (regular expressions; `types` only as `import type`). Anything else is an error.
 * A later row replaces an earlier one for the files it names.
 */
const mayImport = [
  { files: ['src/shared/**'], imports: ['zod$', String.raw`\./`] },
  { files: ['src/shared/recipes/**'], imports: ['zod$', String.raw`\./`, String.raw`\.\./(?!.*/)`] },
  { files: ['src/shared/api/**'], imports: ['zod$', '@orpc/contract$', String.raw`\./`, String.raw`\.\./(?!.*/)`] },

  { files: ['src/main/**'], imports: ['node:', 'zod$', 'yaml$', String.raw`\.{1,2}/(?!.*(?:engine/|renderer/|preload/))`] },
  {
    files: ['src/main/cli.ts', 'src/main/commands/**'],
    imports: ['node:', 'zod$', 'yaml$', 'commander$', String.raw`\.{1,2}/(?!.*(?:engine/|renderer/|preload/))`],
  },
  { files: ['src/main/{router,workbench,changes,tasks}.ts', 'src/main/**/live*.ts'], imports: ['node:', '@orpc/server$', 'zod$', String.raw`\.{1,2}/(?!.*(?:engine/|renderer/|preload/))`] },
  { files: ['src/main/datasets/{csv,parquet}.ts'], imports: ['node:', 'csv-parse$', 'hyparquet(?:-compressors)?$', String.raw`\.{1,2}/(?!.*(?:engine/|renderer/|preload/))`] },
  { files: ['src/main/host.ts', 'src/main/host/**'], imports: ['node:', '@orpc/server', 'ws$', String.raw`\.{1,2}/(?!.*(?:engine/|renderer/|preload/))`] },
  { files: ['src/main/desktop.ts', 'src/main/desktop/**'], imports: ['node:', '@orpc/server', 'electron$', 'zod$', String.raw`\.{1,2}/(?!.*(?:engine/|renderer/|preload/))`] },
  { files: ['src/main/db/**'], imports: ['node:', 'better-sqlite3$', String.raw`\./`, String.raw`\.\./(?:\.\./shared/|process-identity\.ts|migrations/|db/)`] },

  // renderer: UI libraries; the line to main only in state/, the client itself nowhere else
  { files: ['src/renderer/**'], imports: [...ui, String.raw`\.{1,2}/(?!.*(?:(?:main|engine|preload)/|state/client\.ts|src/))`] },
  { files: ['src/renderer/state/**'], imports: [...ui, '@orpc/(?:client|contract)', String.raw`\.{1,2}/(?!.*(?:main|engine|preload|screens|components)/)`] },
  { files: ['src/renderer/*.{ts,svelte}'], imports: [...ui, String.raw`\./`] },
  { files: ['src/preload/**'], imports: ['electron$'] },

  // engine: node only where files, processes and addons are met
  { files: ['src/engine/**'], imports: ['zod$', String.raw`\.{1,2}/(?!.*${above})`] },
  {
    files: ['src/engine/*.ts', 'src/engine/{jobs,methods,formats,device,tokenizer}/**', 'src/engine/data/read.ts', 'src/engine/rewards/sandbox*.ts', 'src/engine/serving/compile*.ts', 'src/engine/rollouts/store.ts'],
    imports: ['node:', 'zod$', '@huggingface/', '@tensorflow/', String.raw`\.{1,2}/(?!.*${above})`],
  },
  { files: ['src/engine/losses/**'], imports: [] },
  { files: ['src/engine/ops/**'], imports: [String.raw`\./`, String.raw`\.\./device/device\.ts$`], types: [String.raw`\.\./data/batch\.ts$`] },
  {
    files: ['src/engine/model/**'],
    imports: [String.raw`\./`, String.raw`\.\./ops/`, String.raw`\.\./device/device\.ts$`, String.raw`\.\./random\.ts$`, String.raw`\.\./\.\./shared/`],
    types: [String.raw`\.\./(?:data/batch|formats/[a-z-]+)\.ts$`],
  },
  {
    files: ['src/engine/optim/**'],
    imports: [String.raw`\./`, String.raw`\.\./ops/`, String.raw`\.\./device/device\.ts$`, String.raw`\.\./\.\./shared/`],
    types: [String.raw`\.\./model/[a-z-]+\.ts$`],
  },
  {
    files: ['src/engine/algorithms/**', 'src/engine/data/!(read).ts', 'src/engine/sampling/**'],
    imports: ['zod$', String.raw`\.{1,2}/(?!.*(?:${above}|device/(?!device\.ts)|/run\.ts|/index\.ts))`],
  },
  { files: ['src/engine/sampling/constraint/**'], imports: ['refa$', 'ajv', 'jsonrepair$', String.raw`\.{1,2}/(?!.*(?:${above}|device/|/run\.ts|/index\.ts))`] },
];

const layers = mayImport.map(({ files, imports, types = [] }) => {
  const message = `this layer may import ${[...imports, ...types].join(' or ') || 'nothing'} (src/…: imports only go down)`;
  const not = (allowed) => (allowed.length ? `^(?!${allowed.join('|')})` : '.');
  const patterns = [{ regex: not([...imports, ...types]), message }];
  if (types.length) patterns.push({ regex: `^(?:${types.join('|')})`, allowTypeImports: true, message: `${message}; types only` });
  return { files, ignores: ['**/*.test.ts'], rules: { 'no-restricted-imports': ['error', { patterns }] } };
});

export default tseslint.config(
  { ignores: ['build/', 'dist/', 'node_modules/', '**/node_modules/', 'fixtures/', 'resources/', 'native/', 'src/renderer/paraglide/'] },
  ...tseslint.configs.recommended,
  ...svelte.configs.recommended,
  { files: ['**/*.svelte', '**/*.svelte.ts'], languageOptions: { parserOptions: { parser: tseslint.parser } } },
  {
    linterOptions: { reportUnusedDisableDirectives: 'off' },
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-restricted-exports': ['error', { restrictDefaultExports: { direct: true } }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  // the address after # is ours to write: there is no router that would have to resolve it
  { files: ['src/renderer/**'], rules: { 'svelte/no-navigation-without-resolve': 'off' } },
  // tools read their configuration from a default export
  { files: ['*.config.{js,ts}'], rules: { 'no-restricted-exports': 'off' } },
  ...layers,
);
