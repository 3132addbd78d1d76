/**
 * Over how many shards an ad's clicks should be spread: doubles as often as its rate needs, and shrinks only when the ad
 * was calm for long. Entries are kept for ever (I3), so how many there may be a day is bounded (I14): of an ad, and of
 * all; the second half of both is kept for raises, because a fan-out that is too wide costs little.
 */

/** By entries of the last day before `closed_until`. */
export const FAN_OUT_CHANGES_A_DAY_MAX = 1_000;
export const FAN_OUT_CHANGES_OF_AN_AD_A_DAY_MAX = 16;
/** An entry takes effect half a minute later anyway: waiting shows how far the rate rises, and a short burst is none. */
export const HOT_FOR_MS = 5_000;

/** `hot`: its sub-shards get more than they should. `calm`: half as many would get half of what they may. */
export type Mood = 'hot' | 'even' | 'calm';

export interface FanOutFacts {
  /** By the newest entry. */
  readonly fanOut: number;
  /** The newest entry has not taken effect yet. */
  readonly isOnTheWay: boolean;
  /** By the newest entry. */
  readonly shards: number;
  /** Clicks a second that one sub-shard should bear of an ad. */
  readonly hotAdRate: number;
  /** For how long an ad must be calm before its fan-out shrinks. */
  readonly hotAdCalmMs: number;
  readonly mood: Mood;
  /** For how long it has been of this mood. */
  readonly moodMs: number;
  /** Clicks a second over all gateways, the most since it is of this mood, as `fadingPeak` has it. */
  readonly peak: number;
  /** Entries of the last day: of this ad, and of all. */
  readonly changesOfAd: number;
  readonly changesOfAll: number;
}

export type FanOutDecision =
  | { readonly kind: 'keep' }
  | { readonly kind: 'change'; readonly fanOut: number }
  /** It should be this, but there were too many entries in the last day. */
  | { readonly kind: 'exhausted'; readonly fanOut: number };

export function moodOf(
  clicksPerSecond: number,
  { fanOut, shards, hotAdRate }: Pick<FanOutFacts, 'fanOut' | 'shards' | 'hotAdRate'>,
): Mood {
  if (fanOut < shards && clicksPerSecond > fanOut * hotAdRate) return 'hot';
  return fanOut > 1 && clicksPerSecond <= (fanOut / 4) * hotAdRate ? 'calm' : 'even';
}

/** The most of a while, where what is past fades: after `hotAdCalmMs` a fiftieth of it is left. */
export function fadingPeak(
  before: number,
  clicksPerSecond: number,
  elapsedMs: number,
  hotAdCalmMs: number,
): number {
  return Math.max(clicksPerSecond, before * Math.exp((-4 * elapsedMs) / hotAdCalmMs));
}

export function decideFanOut(facts: FanOutFacts): FanOutDecision {
  const { fanOut, isOnTheWay, shards, hotAdRate, hotAdCalmMs, mood, moodMs, peak } = facts;
  if (isOnTheWay) return { kind: 'keep' };
  if (mood === 'hot' && moodMs >= HOT_FOR_MS)
    return within(facts, 1, leastFanOut(fanOut, peak, hotAdRate, shards));
  if (mood === 'calm' && moodMs >= hotAdCalmMs) {
    const shrunk = leastFanOut(1, peak, hotAdRate / 2, shards);
    if (shrunk < fanOut) return within(facts, 0.5, shrunk);
  }
  return { kind: 'keep' };
}

/** The least doubling of `from` that bears the rate, at most all shards. */
function leastFanOut(from: number, clicksPerSecond: number, ratePerShard: number, shards: number): number {
  let fanOut = from;
  while (fanOut < shards && clicksPerSecond > fanOut * ratePerShard) fanOut *= 2;
  return Math.min(fanOut, shards);
}

function within({ changesOfAd, changesOfAll }: FanOutFacts, share: number, fanOut: number): FanOutDecision {
  const isRoom =
    changesOfAd < share * FAN_OUT_CHANGES_OF_AN_AD_A_DAY_MAX &&
    changesOfAll < share * FAN_OUT_CHANGES_A_DAY_MAX;
  return { kind: isRoom ? 'change' : 'exhausted', fanOut };
}
