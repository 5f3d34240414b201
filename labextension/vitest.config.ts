import { defineConfig } from 'vitest/config';

export default defineConfig({
  esbuild: { jsx: 'automatic' },
  // Packages that ship both: their ES modules, as the bundler takes them.
  resolve: { mainFields: ['module', 'main'] },
  test: {
    environment: 'jsdom',
    include: ['test/**/*.test.{ts,tsx}'],
    setupFiles: ['test/setup.ts'],
    testTimeout: 60_000,
    // JupyterLab's packages are ES modules with imports that node alone cannot follow.
    server: { deps: { inline: [/@jupyterlab\//, /@jupyter\//, /@jupyter-widgets\//, /@microsoft\//, /@rjsf\//] } }
  }
});
