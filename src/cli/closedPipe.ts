/**
 * `clickledger sign AD --count 1000 | head` closes the pipe before everything is written. Commands that only print
 * end quietly then, as other tools do. Not for commands with something left to do when nobody reads any more.
 */
export function endWithClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
