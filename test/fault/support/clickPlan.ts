/**
 * Clicks whose counts are known before they are sent: valid ones, repeats, tests, programs and defective ones over many
 * ads and minutes, a part of them handed out twice or thrice. Each click has its minute and its disposition whatever
 * the order in which it arrives: repeats share the minute of their impression's other clicks.
 */
import type { Click } from '../../../src/contract/generated/clickledger/v1/Click.ts';
import { MINUTE_MS, minuteOf } from '../../../src/domain/windowCounts.ts';
import type { Random } from '../../support/random.ts';

/** Counts of one ad in one minute. */
export interface Counts {
  valid: number;
  repeat: number;
  givt: number;
  sivt: number;
  defective: number;
  test: number;
}

export const NO_COUNTS: Readonly<Counts> = { valid: 0, repeat: 0, givt: 0, sivt: 0, defective: 0, test: 0 };

const MINUTES = 4;
const DAY_MS = 86_400_000;
const BOT = 'Googlebot/2.1 (+http://www.google.com/bot.html)';
/** Copies wait here, so that some come in the same request and some in a later one. */
const COPIES_WAITING_MAX = 500;

export class ClickPlan {
  readonly adIds: readonly string[];
  /** What must be stored, by "ad minute". */
  readonly expected = new Map<string, Counts>();
  /** Clicks made so far. */
  clicks = 0;
  /** Further sendings of the same clicks that were handed out. */
  copies = 0;
  readonly #random: Random;
  readonly #firstMinute: number;
  readonly #waiting: Click[] = [];

  /** @param nowMs event times lie in the minutes before it */
  constructor(prefix: string, ads: number, random: Random, nowMs: number) {
    this.adIds = Array.from({ length: ads }, (_, index) => `${prefix}-${index}`);
    this.#random = random;
    this.#firstMinute = minuteOf(nowMs) - MINUTES * MINUTE_MS;
  }

  /** Clicks to send, copies of earlier ones among them. */
  take(count: number): Click[] {
    const clicks: Click[] = [];
    while (clicks.length < count) {
      if (this.#waiting.length > COPIES_WAITING_MAX || (this.#waiting.length > 0 && this.#random.chance(0.2)))
        clicks.push(...this.#takeCopy());
      else clicks.push(...this.#makeGroup());
    }
    return clicks;
  }

  /** The copies that still wait. */
  takeRest(): Click[] {
    const rest = this.#waiting.splice(0);
    this.copies += rest.length;
    return rest;
  }

  /** Those that still wait are never sent: where they would come later than the fold remembers. */
  dropCopies(): void {
    this.#waiting.length = 0;
  }

  /** A valid click of this ad in a minute of its own choice. */
  clickAt(adId: string, minute: number): Click {
    return this.#add({ ad_id: adId, event_time_ms: minute }, 'valid', minute);
  }

  #takeCopy(): Click[] {
    const [copy] = this.#waiting.splice(this.#random.below(this.#waiting.length), 1);
    if (copy === undefined) return [];
    this.copies += 1;
    return [copy];
  }

  /** A click, or the clicks of one impression. */
  #makeGroup(): Click[] {
    const adId = this.#random.pick(this.adIds);
    const minute = this.#firstMinute + this.#random.below(MINUTES) * MINUTE_MS;
    const kind = this.#random.below(20);
    const base = { ad_id: adId, event_time_ms: minute + this.#random.below(MINUTE_MS) };
    if (kind === 0) return [this.#add({ ...base, test: true }, 'test', minute)];
    if (kind === 1) return [this.#add({ ...base, user_agent: BOT }, 'givt', minute)];
    // An impression older than the horizon at its click's own time.
    if (kind === 2) {
      const impression_id = Bun.randomUUIDv7('hex', Date.now() - 2 * DAY_MS);
      return [this.#add({ ...base, impression_id }, 'defective', minute)];
    }
    if (kind > 8) return [this.#add(base, 'valid', minute)];
    const shown = { ...base, impression_id: Bun.randomUUIDv7() };
    const group = [this.#add(shown, 'valid', minute)];
    for (let repeats = this.#random.below(4); repeats > 1; repeats -= 1)
      group.push(this.#add(shown, 'repeat', minute));
    return group;
  }

  #add(fields: Omit<Click, 'click_id'>, disposition: keyof Counts, minute: number): Click {
    const click = { ...fields, click_id: Bun.randomUUIDv7() };
    const key = `${click.ad_id} ${minute}`;
    const counts = this.expected.get(key) ?? { ...NO_COUNTS };
    counts[disposition] += 1;
    this.expected.set(key, counts);
    this.clicks += 1;
    const copies = this.#random.below(10);
    if (copies < 2) for (let copy = 0; copy <= copies; copy += 1) this.#waiting.push(click);
    return click;
  }
}
