/**
 * Whether a share of clicks is off from what was expected: the exact two-sided binomial test. Its p-value is the
 * probability of all outcomes that are at most as probable as the one that was found, as R's binom.test has it.
 *
 * That sum has two ends. The far one begins where outcomes on the other side become at most as probable, which is found by
 * halving, because towards an end they only become less so; each end is a regularized incomplete beta function.
 */
import betainc from '@stdlib/math-base-special-betainc';
import gammaln from '@stdlib/math-base-special-gammaln';

/** Outcomes that are equally probable must not differ by rounding: as in R. */
const TOLERANCE = Math.log1p(1e-7);

/**
 * @param hits of `tries`
 * @param share that hits would have of the tries if nothing were the matter, between 0 and 1
 */
export function shareTest(hits: number, tries: number, share: number): number {
  const expected = tries * share;
  if (hits === expected) return 1;
  const most = logProbability(hits, tries, share) + TOLERANCE;
  const isRare = (outcome: number) => logProbability(outcome, tries, share) <= most;
  if (hits < expected) {
    const first = firstWhere(Math.ceil(expected), tries + 1, isRare);
    return Math.min(1, atMost(hits, tries, share) + atLeast(first, tries, share));
  }
  const first = firstWhere(0, Math.floor(expected) + 1, (outcome) => !isRare(outcome));
  return Math.min(1, atMost(first - 1, tries, share) + atLeast(hits, tries, share));
}

function logProbability(hits: number, tries: number, share: number): number {
  const choices = gammaln(tries + 1) - gammaln(hits + 1) - gammaln(tries - hits + 1);
  return choices + hits * Math.log(share) + (tries - hits) * Math.log1p(-share);
}

/** The probability of so many hits or fewer. */
function atMost(hits: number, tries: number, share: number): number {
  if (hits < 0) return 0;
  return hits >= tries ? 1 : betainc(1 - share, tries - hits, hits + 1, true, false);
}

/** The probability of so many hits or more. */
function atLeast(hits: number, tries: number, share: number): number {
  if (hits <= 0) return 1;
  return hits > tries ? 0 : betainc(share, hits, tries - hits + 1, true, false);
}

/** The first number from `low` on, below `high`, from which on it holds; `high` where it never does. */
function firstWhere(low: number, high: number, holds: (at: number) => boolean): number {
  let first = low;
  let end = high;
  while (first < end) {
    const middle = Math.floor((first + end) / 2);
    if (holds(middle)) end = middle;
    else first = middle + 1;
  }
  return first;
}
