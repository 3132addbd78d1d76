/** Runs before each test file: a run on Node would miss `Bun`, or worse, test another runtime than the product's. */
import { expect } from 'vitest';

expect(process.versions.bun, 'tests must run on Bun: ./clickledger test').toBeDefined();
