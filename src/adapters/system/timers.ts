/** Waiting by the machine's own timers. */
import type { Timers } from '../../domain/timers.ts';

export const systemTimers: Timers = {
  pause(ms, stop) {
    return new Promise((resolve) => {
      if (stop?.aborted) return resolve();
      const end = () => {
        clearTimeout(timer);
        stop?.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      stop?.addEventListener('abort', end);
    });
  },
  nextTurn: (work) => void setImmediate(work),
};
