/**
 * Vitest runs on Bun (`bun --bun node_modules/vitest/vitest.mjs run`, or `./clickledger test`); test/setup.ts refuses
 * anything else. Two workers: tests start real servers, and more of them would wait for the disk and each other.
 */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    setupFiles: ['test/setup.ts'],
    globalSetup: ['test/servers.ts', 'test/fault/support/reportSetup.ts'],
  },
});
