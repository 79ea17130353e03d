// Three kinds of tests: unit (in-memory doubles, milliseconds each), integration (the real engine), long (minutes each, with all cores).
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: join(import.meta.dirname, '..'),
  test: {
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.{ts,tsx}'], environment: 'node', testTimeout: 10_000 },
      },
      {
        extends: true,
        // One file at a time: every file starts an engine, which uses all cores.
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          environment: 'node',
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: { name: 'long', include: ['test/long/**/*.test.ts'], environment: 'node', fileParallelism: false },
      },
    ],
  },
});
