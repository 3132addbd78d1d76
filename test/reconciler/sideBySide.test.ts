/** Work side by side: all of it, bounded, and nothing that runs on unseen after a failure. */
import { describe, expect, it } from 'vitest';
import { sideBySide } from '../../src/reconciler/sideBySide.ts';

const NEVER = new AbortController().signal;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('work side by side', () => {
  it('is done for every item, so many at a time', async () => {
    const done: number[] = [];
    let running = 0;
    let most = 0;
    await sideBySide([5, 1, 4, 2, 3], 2, NEVER, async (turns) => {
      running += 1;
      most = Math.max(most, running);
      for (let count = 0; count < turns; count++) await turn();
      running -= 1;
      done.push(turns);
    });
    expect(done.toSorted()).toEqual([1, 2, 3, 4, 5]);
    expect(most).toBe(2);
    await sideBySide([], 2, NEVER, () => Promise.reject(new Error('there is nothing')));
  });

  it('that fails tells the rest to end, waits for it, begins nothing more, and says what failed first', async () => {
    const begun: number[] = [];
    let ended = false;
    const work = sideBySide([1, 2, 3], 2, NEVER, async (item, stop) => {
      begun.push(item);
      await turn();
      if (item === 2) throw new Error('second');
      while (!stop.aborted) await turn();
      await turn();
      ended = true;
      throw new Error('the end that it was told to make');
    });
    await expect(work).rejects.toThrow('second');
    expect(ended).toBe(true);
    expect(begun).toEqual([1, 2]);
  });

  it('ends with the reason of the stop', async () => {
    const stop = new AbortController();
    const begun: number[] = [];
    const work = sideBySide([1, 2, 3], 2, stop.signal, async (item, either) => {
      begun.push(item);
      while (!either.aborted) await turn();
    });
    stop.abort(new Error('enough'));
    await expect(work).rejects.toThrow('enough');
    expect(begun).toEqual([1, 2]);
  });
});
