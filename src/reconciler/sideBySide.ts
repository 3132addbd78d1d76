/** Work on many things, some of them at a time: while one waits for its next portion, another computes. */

/**
 * Calls `work` with every item, in their order, at most `most` at a time, and returns when all is done or nothing of it
 * runs any more.
 * @param work ends soon after the signal that it is handed was given: `stop`, or that other work failed
 * @throws what failed first
 */
export async function sideBySide<T>(
  items: readonly T[],
  most: number,
  stop: AbortSignal,
  work: (item: T, stop: AbortSignal) => Promise<void>,
): Promise<void> {
  const failure = new AbortController();
  const either = AbortSignal.any([stop, failure.signal]);
  const queue = items.values();
  const lane = async () => {
    try {
      for (const item of queue) {
        either.throwIfAborted();
        await work(item, either);
      }
    } catch (error) {
      failure.abort(error);
    }
  };
  await Promise.all(Array.from({ length: most }, lane));
  failure.signal.throwIfAborted();
}
