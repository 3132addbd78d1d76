/**
 * Traffic whose every click is known: over gRPC calls, over gRPC streams and over click URLs, with copies and repeats,
 * sent again until it is answered. It knows what must be stored when all of it is counted.
 */
import { randomBytes } from 'node:crypto';
import { catalogClient } from '../../../src/adapters/grpc/clients.ts';
import type { Click } from '../../../src/contract/generated/clickledger/v1/Click.ts';
import type { IngestResult__Output as IngestResult } from '../../../src/contract/generated/clickledger/v1/IngestResult.ts';
import { Random } from '../../support/random.ts';
import { ClickPlan, type Counts } from './clickPlan.ts';
import type { Cluster } from './cluster.ts';
import { GrpcSenders } from './grpcSenders.ts';
import { type Followed, HttpFollowers } from './httpFollowers.ts';

const GRPC_ADS = 20;
const HTTP_ADS = 4;
const BATCH_CLICKS = 40;
const STREAM_REQUESTS = 4;
const BATCH_SENDERS = 3;
/** Between two sendings of a sender: the machine has other things to do than to take clicks. */
const PACE_MS = 25;
const BACKLOG_REQUEST_CLICKS = 2_000;
const BACKLOG_SENDERS = 4;

export class Load {
  readonly plan: ClickPlan;
  readonly followers: HttpFollowers;
  /** On which shard each gRPC ad's clicks stand, as the receipts say. */
  readonly shardOf = new Map<string, number>();
  readonly #httpAdIds: readonly string[];
  readonly #random = new Random(randomBytes(4).readUInt32LE());
  readonly #senders: GrpcSenders;
  #mode: 'idle' | 'sending' | 'finishing' | 'given-up' = 'idle';
  #running: Promise<unknown> = Promise.resolve();
  #trouble: unknown;
  #answered = 0;

  private constructor(cluster: Cluster) {
    const prefix = `ad-${randomBytes(4).toString('hex')}`;
    this.plan = new ClickPlan(prefix, GRPC_ADS, this.#random, Date.now());
    this.#httpAdIds = Array.from({ length: HTTP_ADS }, (_, index) => `${prefix}-http-${index}`);
    const check = () => {
      if (this.#mode === 'given-up') throw new Error('the load was given up');
    };
    this.followers = new HttpFollowers(cluster.httpUrl, cluster.signingKey, this.#httpAdIds, check);
    this.#senders = new GrpcSenders({
      address: cluster.ingestAddress,
      check,
      answered: (clicks, results) => this.#take(clicks, results),
    });
  }

  /** A load with ads of its own in the catalog. */
  static async register(cluster: Cluster): Promise<Load> {
    const load = new Load(cluster);
    const catalog = catalogClient(cluster.ingestAddress);
    try {
      const ads = load.adIds.map((ad_id) => ({ ad_id, destination_url: `https://shop.example/${ad_id}` }));
      await catalog.upsertAds({ ads });
    } finally {
      catalog.close();
    }
    return load;
  }

  get adIds(): string[] {
    return [...this.plan.adIds, ...this.#httpAdIds];
  }

  /** What must be stored of the gRPC ads, by "ad minute". */
  get expected(): ReadonlyMap<string, Counts> {
    return this.plan.expected;
  }

  /** What must be stored of the HTTP ads. */
  get followed(): ReadonlyMap<string, Followed> {
    return this.followers.followed;
  }

  /** Clicks that were answered, copies and all. */
  get answered(): number {
    return [...this.followed.values()].reduce((sum, { answered }) => sum + answered, this.#answered);
  }

  /** Sends until `finish`. */
  start(): void {
    this.#mode = 'sending';
    this.#running = Promise.all([
      ...Array.from({ length: BATCH_SENDERS }, () => this.#keep(() => this.#sendBatch())),
      this.#keep(() => this.#sendStream()),
      this.#keep(() => this.#follow()),
    ]);
  }

  /** Waits until so many more clicks are answered: the load runs. */
  async flowing(clicks = 500): Promise<void> {
    const goal = this.answered + clicks;
    while (this.answered < goal) {
      this.#rethrow();
      await Bun.sleep(5);
    }
  }

  /** Begins nothing new; returns when everything that was begun is answered. */
  async finish(): Promise<void> {
    if (this.#mode === 'sending') this.#mode = 'finishing';
    await this.#running;
    this.#rethrow();
    const rest = this.plan.takeRest();
    for (let first = 0; first < rest.length; first += BATCH_CLICKS)
      await this.#senders.sendBatch(rest.slice(first, first + BATCH_CLICKS));
  }

  /** Sends so many clicks as fast as they are taken, and returns when all are answered. */
  async send(count: number): Promise<void> {
    const goal = this.plan.clicks + count;
    const sender = async () => {
      while (this.plan.clicks < goal) {
        const left = Math.min(BACKLOG_REQUEST_CLICKS, goal - this.plan.clicks);
        await this.#senders.sendBatch(this.plan.take(left));
      }
    };
    await Promise.all(Array.from({ length: BACKLOG_SENDERS }, sender));
  }

  /** Sends these clicks until they are answered. */
  sendClicks(clicks: readonly Click[]): Promise<void> {
    return this.#senders.sendBatch(clicks);
  }

  /** A new impression of one of the HTTP ads. */
  newClickUrl(): { adId: string; url: string } {
    const adId = this.#random.pick(this.#httpAdIds);
    return { adId, url: this.followers.newUrl(adId) };
  }

  /** Ends it, whatever is not answered. */
  async close(): Promise<void> {
    this.#mode = 'given-up';
    await this.#running;
    this.#senders.close();
  }

  async #keep(sendOnce: () => Promise<void>): Promise<void> {
    try {
      while (this.#mode === 'sending') {
        await sendOnce();
        await Bun.sleep(PACE_MS);
      }
    } catch (error) {
      if (this.#mode !== 'given-up') this.#trouble ??= error;
    }
  }

  #sendBatch(): Promise<void> {
    return this.#senders.sendBatch(this.plan.take(BATCH_CLICKS));
  }

  #sendStream(): Promise<void> {
    const batches = Array.from({ length: STREAM_REQUESTS }, () => this.plan.take(BATCH_CLICKS));
    return this.#senders.sendStream(batches);
  }

  async #follow(): Promise<void> {
    const follow = (times: number) => {
      const { adId, url } = this.newClickUrl();
      return this.followers.follow(adId, url, times);
    };
    await Promise.all([follow(1), follow(1), follow(2)]);
  }

  #take(clicks: readonly Click[], results: readonly IngestResult[]): void {
    if (results.length !== clicks.length)
      throw new Error(`${clicks.length} clicks were answered with ${results.length} results`);
    for (const [index, { status, reason, receipt }] of results.entries()) {
      if (status !== 'ACCEPTED') throw new Error(`a good click was answered ${status}: ${reason}`);
      if (receipt !== null) this.shardOf.set(clicks[index]?.ad_id ?? '', receipt.shard);
    }
    this.#answered += clicks.length;
  }

  #rethrow(): void {
    if (this.#trouble !== undefined) throw this.#trouble;
  }
}
