/**
 * A mistake or a state of this machine that the person at the terminal can put right: `main.ts` prints the
 * message alone, without a stack, and exits with 2. Anything else that is thrown counts as a bug.
 */
export class CliError extends Error {
  override readonly name = 'CliError';
}
