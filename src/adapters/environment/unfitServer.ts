/** A server that a URL names cannot be used: it does not answer, is too old, or is set in a way that loses clicks. */
import { errorText } from '../../domain/errorText.ts';

export class UnfitServerError extends Error {
  override readonly name = 'UnfitServerError';
}

/** Whether a version such as `2.10.27` is at least `major.minor`. */
export function isAtLeast(version: string, major: number, minor: number): boolean {
  const [, givenMajor = '0', givenMinor = '0'] = /(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  return Number(givenMajor) > major || (Number(givenMajor) === major && Number(givenMinor) >= minor);
}

/** What to call a server in a message: its address, never its password. */
export function addressOf(url: string): string {
  return new URL(url).host;
}

/**
 * What `work` brings, or that the server at the URL in `variable` does not answer.
 * @throws UnfitServerError
 */
export async function reaching<T>(variable: string, url: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UnfitServerError) throw error;
    const why = errorText(error);
    throw new UnfitServerError(`${variable}: the server at ${addressOf(url)} cannot be used: ${why}`);
  }
}
