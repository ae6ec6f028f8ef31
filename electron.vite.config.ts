/**
 * The build: main (both shells, the engine's entry, the threads that find rows, run a reward's code and
 * work out what served answers must be), the sandboxed preload (CommonJS, as
 * Electron wants it) and the renderer, into build/app/.
 * Packages stay outside main's bundle; the renderer's is whole, since a browser has no node_modules.
 */
import { fileURLToPath } from 'node:url';
import { paraglideVitePlugin } from '@inlang/paraglide-js';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'electron-vite';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  main: {
    build: {
      outDir: path('build/app/main'),
      externalizeDeps: true,
      sourcemap: true,
      minify: false,
      rollupOptions: {
        input: {
          desktop: path('src/main/desktop.ts'),
          host: path('src/main/host.ts'),
          engine: path('src/engine/index.ts'),
          'find-thread': path('src/main/datasets/find-thread.ts'),
          'sandbox-worker': path('src/engine/rewards/sandbox-worker.ts'),
          'compile-worker': path('src/engine/serving/compile-worker.ts'),
        },
        output: { format: 'es', entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js' },
      },
    },
  },
  preload: {
    build: {
      outDir: path('build/app/preload'),
      externalizeDeps: true,
      rollupOptions: { input: { index: path('src/preload/index.ts') }, output: { format: 'cjs', entryFileNames: '[name].cjs' } },
    },
  },
  renderer: {
    root: 'src/renderer',
    plugins: [
      svelte(),
      paraglideVitePlugin({
        project: path('src/renderer/project.inlang'),
        outdir: path('src/renderer/paraglide'),
        emitTsDeclarations: true,
        strategy: ['globalVariable', 'baseLocale'],
        isServer: 'false',
      }),
    ],
    build: {
      outDir: path('build/app/renderer'),
      emptyOutDir: true,
      minify: true,
      target: 'chrome140',
      // every asset a file of its own: the content security policy lets no data: scripts or styles in
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      chunkSizeWarningLimit: 1500,
      rollupOptions: { input: path('src/renderer/index.html') },
    },
  },
});
