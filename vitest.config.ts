import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Workspace packages resolve to their sources, so that no test ever runs against a stale dist. Only ssr.resolve
// reaches imports of packages; every project must inherit it (extends: true), or it silently tests dist again.
const conditions = ['@sidecard/source', 'node', 'import', 'default'];
// Whatever the shell says: a project is what its name says, and the table of `npm test` has it under that.
const inProcess = { SIDECARD_TRANSPORT: 'in-process' };

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    pool: 'forks',
    setupFiles: ['./test/property-seed.ts'],
    // Vitest leaves a core free, which on two cores doubles the time.
    maxWorkers: availableParallelism(),
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          env: inProcess,
          include: ['{packages,devices,tools}/*/test/**/*.test.ts', 'test/*.test.ts'],
          // A daemon is another process: there is no in-process of it.
          exclude: ['**/node_modules/**', '**/*.long.test.ts', '**/test/driver/daemon*.test.ts'],
          isolate: false,
          testTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          // Thousands of random cases, and daemons started by the dozen: a part of `npm test`, not of `npm run check`.
          name: 'long',
          env: inProcess,
          include: ['{packages,devices,tools}/*/test/**/*.long.test.ts'],
          testTimeout: 300_000,
        },
      },
      // The tests of test/driver/ see a device as its driver does, and run on every transport; `unit` has them in-process.
      ...(['socket', 'qemu'] as const).map((transport) => ({
        extends: true as const,
        test: {
          name: transport,
          include: ['{packages,devices}/*/test/driver/**/*.test.ts'],
          env: { SIDECARD_TRANSPORT: transport },
          ...(transport === 'qemu' && { globalSetup: './test/provide-qemu.ts', setupFiles: './test/require-qemu.ts' }),
          isolate: false,
          testTimeout: 60_000,
        },
      })),
      {
        extends: true,
        test: {
          name: 'guest',
          include: ['test/{guest,qtest,browser}/**/*.test.ts'],
          // Two guests at once on two cores only make each other's time limits expire.
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
