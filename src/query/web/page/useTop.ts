/** The largest of a dimension, asked again and again while anybody looks. */
import { useEffect, useState } from 'preact/hooks';
import { ask, type Top } from './api.ts';
import { serviceNow } from './clock.ts';
import { wordsFor } from './useSeries.ts';
import { type RangeName, rangeStart } from './view.ts';

const ASK_AGAIN_MS = 5_000;
/** What was refused is not asked in a hurry. */
const AFTER_FAILURE_MS = 30_000;
const QUARTER_MS = 15 * 60_000;

export type TopKnown =
  | { readonly kind: 'asking' }
  | { readonly kind: 'known'; readonly top: Top; readonly fromMs: number }
  | { readonly kind: 'failed'; readonly why: string };

/** @param ads of which; undefined: of all; none: nothing is asked */
export function useTop(
  dimension: string,
  range: RangeName,
  ads: readonly string[] | undefined,
  n: number,
): TopKnown {
  const [known, setKnown] = useState<TopKnown>({ kind: 'asking' });
  useEffect(() => {
    setKnown({ kind: 'asking' });
    if (ads?.length === 0) return;
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const look = async () => {
      if (document.visibilityState === 'hidden') return;
      const isKnown = await update();
      clearTimeout(timer);
      if (!end.signal.aborted) timer = setTimeout(look, isKnown ? ASK_AGAIN_MS : AFTER_FAILURE_MS);
    };
    /** Whether it was answered. */
    const update = async (): Promise<boolean> => {
      const nowMs = serviceNow();
      // Dimensions are counted by quarters of an hour.
      const fromMs = Math.floor(rangeStart(range, nowMs) / QUARTER_MS) * QUARTER_MS;
      const toMs = Math.ceil(nowMs / QUARTER_MS) * QUARTER_MS;
      try {
        const query = { dimension, n: String(n), from: String(fromMs), to: String(toMs), adId: ads ?? [] };
        const top = await ask<Top>('/api/v1/top', query, end.signal);
        setKnown({ kind: 'known', top, fromMs });
        return true;
      } catch (error) {
        if (!end.signal.aborted) setKnown({ kind: 'failed', why: wordsFor(error) });
        return false;
      }
    };
    void look();
    const shown = () => void look();
    document.addEventListener('visibilitychange', shown);
    return () => {
      end.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', shown);
    };
  }, [dimension, range, ads?.join('\n'), n]);
  return known;
}
