/**
 * Who sends clicks: ad servers, which send again with the same ids until they are answered (and sometimes though they
 * were), and people, who come again with another click on the same impression. Remembers what was answered.
 */
import { type ClickContext, type ClickRecord, USER_KEY_BYTES } from '../../src/domain/clickRecord.ts';
import type { Position } from '../../src/domain/position.ts';
import { recordOf, uuid7At } from '../support/clicks.ts';
import type { SimGateway } from './simGateway.ts';
import type { World } from './world.ts';
import { RULES } from './world.ts';

const ANSWER_MS = 6_000;
const AGAIN_MS = 4_000;
const TRIES_MAX = 12;
const PEOPLE = 12;
/** What may be known of a click; empty: it is not. */
const SHOWN = {
  country: ['', 'DE', 'FR'],
  region: ['', 'Bayern'],
  deviceType: ['', 'mobile', 'desktop'],
  os: ['', 'Linux'],
  browser: ['', 'Firefox'],
  referrer: ['', 'https://news.example/1', 'https://news.example/2', 'https://www.other.example/'],
  publisherId: ['', 'paper'],
  placementId: ['', 'top'],
  creativeId: ['', 'banner'],
} as const;
/** People click on what they see now. */
const IMPRESSIONS_SHOWN = 6;

interface Impression {
  readonly adId: string;
  readonly id: Uint8Array;
}

export class Clickers {
  readonly #world: World;
  readonly #adIds: string[];
  readonly #impressions: Impression[] = [];
  /** click_ids, as hexadecimal digits. */
  readonly answered = new Set<string>();
  readonly sent = new Set<string>();
  /** Where the answers say that clicks stand, by click_id. */
  readonly receipts: { readonly clickId: string; readonly position: Position }[] = [];
  #numbers = 0;
  #underWay = 0;

  constructor(world: World) {
    this.#world = world;
    this.#adIds = Array.from({ length: 1 + world.random.below(4) }, (_, number) => `ad-${number}`);
  }

  get isAtRest(): boolean {
    return this.#underWay === 0;
  }

  get adIds(): readonly string[] {
    return this.#adIds;
  }

  /** One request with some clicks, now. */
  click(): void {
    const { random } = this.#world;
    const clicks = Array.from({ length: 1 + random.below(3) }, () => this.#newClick());
    for (const { clickId } of clicks) this.sent.add(clickId.toHex());
    this.#underWay += 1;
    // People do not send again; ad servers do, and some do so without need.
    const tries = random.chance(0.3) ? 1 : TRIES_MAX;
    this.#send(clicks, tries, random.chance(0.15) ? 1 : 0);
  }

  #newClick(): ClickRecord {
    const { random, scheduler } = this.#world;
    const nowMs = scheduler.nowMs;
    const impression = random.chance(0.75) ? this.#impression() : undefined;
    this.#numbers += 1;
    return recordOf({
      adId: impression?.adId ?? random.pick(this.#adIds),
      clickId: uuid7At(this.#oddTime(nowMs), this.#numbers),
      impressionId: impression?.id,
      eventTimeMs: nowMs - random.below(3_000),
      test: random.chance(0.05),
      ...(random.chance(0.2) ? {} : this.#context()),
    });
  }

  #context(): Partial<ClickContext> {
    const { random } = this.#world;
    const shown = Object.entries(SHOWN).map(([name, values]) => [name, random.pick(values)]);
    const userKey = new Uint8Array(random.chance(0.1) ? 0 : USER_KEY_BYTES).fill(random.below(PEOPLE));
    return { ...Object.fromEntries(shown), userKey };
  }

  #impression(): Impression {
    const { random, scheduler } = this.#world;
    if (this.#impressions.length > 0 && random.chance(0.5))
      return random.pick(this.#impressions.slice(-IMPRESSIONS_SHOWN));
    this.#numbers += 1;
    const issuedMs = this.#oddTime(scheduler.nowMs - random.below(5_000));
    const impression = { adId: random.pick(this.#adIds), id: uuid7At(issuedMs, this.#numbers) };
    this.#impressions.push(impression);
    return impression;
  }

  /** Some ids are of times that cannot be. */
  #oddTime(timeMs: number): number {
    const { random } = this.#world;
    if (random.chance(0.03)) return timeMs + 3_600_000;
    return random.chance(0.03) ? timeMs - 2 * RULES.dedupHorizonMs : timeMs;
  }

  /** @param needless how often it is sent once more though it was answered */
  #send(clicks: readonly ClickRecord[], tries: number, needless: number): void {
    const { random, scheduler, gateways } = this.#world;
    const again = (left: number, moreNeedless: number) => {
      if (left <= 0) this.#underWay -= 1;
      else {
        const pauseMs = random.below(random.chance(0.05) ? 2 * RULES.dedupHorizonMs : AGAIN_MS);
        // An ad server that tries again may stamp another event time.
        const stamped = clicks.map((click) =>
          random.chance(0.4) ? { ...click, eventTimeMs: scheduler.nowMs - random.below(3_000) } : click,
        );
        scheduler.after(pauseMs, () => this.#send(stamped, left, moreNeedless));
      }
    };
    let isHeard = false;
    const heard = (then: () => void) => {
      if (isHeard) return;
      isHeard = true;
      then();
    };
    scheduler.after(ANSWER_MS, () => heard(() => again(tries - 1, needless)));
    this.#ask(random.pick(gateways), clicks).then(
      () => heard(() => again(needless, needless - 1)),
      () => heard(() => again(tries - 1, needless)),
    );
  }

  async #ask(gateway: SimGateway, clicks: readonly ClickRecord[]): Promise<void> {
    const { process, nowMs: receivedMs } = gateway;
    if (!process.isRunning) throw new Error('no gateway');
    const durable = await gateway.append(clicks.map((click) => ({ ...click, receivedMs })));
    for (const [index, click] of clicks.entries()) {
      const clickId = click.clickId.toHex();
      const position = durable[index] ?? 'spooled';
      this.answered.add(clickId);
      if (position !== 'spooled') this.receipts.push({ clickId, position });
    }
  }
}
