/** A gateway of the simulation: the real way from a click that was taken in to the streams, with a disk of its own. */
import {
  decodeClickFacts,
  encodeClickBatch,
  encodeClickRecord,
} from '../../src/adapters/nats/clickBatchCodec.ts';
import type { RateAnnouncement } from '../../src/domain/announcedRates.ts';
import type { ClickRecord } from '../../src/domain/clickRecord.ts';
import type { Durable } from '../../src/gateway/clickLog.ts';
import { type ClickPath, openClickPath } from '../../src/gateway/clickPath.ts';
import type { RoutingWriter, SpoolFolder } from '../../src/gateway/ports.ts';
import { MemorySpoolFolder } from '../support/memorySpoolFolder.ts';
import { SimProcess } from './simProcess.ts';
import type { World } from './world.ts';

const SPOOL_BYTES_MAX = 20_000;
const PUBLISH_TIMEOUT_MS = 2_000;
const RESTART_MS = 3_000;
/** Clicks a second: some ads of some seeds get more for a while. */
const HOT_AD_RATE = 0.4;
const HOT_AD_CALM_MS = 5_000;

export class SimGateway {
  /** What its clock shows beside the true time, milliseconds. */
  skewMs = 0;
  readonly #world: World;
  readonly #disk = new MemorySpoolFolder();
  #process: SimProcess;
  #path: ClickPath | undefined;

  constructor(world: World) {
    this.#world = world;
    this.#process = this.#start();
  }

  get process(): SimProcess {
    return this.#process;
  }

  /** Whether everything that it answered is on the streams. */
  get isDrained(): boolean {
    return this.#path?.spool.bytes === 0;
  }

  /** What its clock shows. */
  get nowMs(): number {
    return this.#world.scheduler.nowMs + this.skewMs;
  }

  /** Returns when it answers that the clicks are durable. */
  append(clicks: readonly ClickRecord[]): Promise<Durable[]> {
    return this.#path?.clickLog.append(clicks) ?? Promise.reject(new Error('not ready'));
  }

  /** Ends it at once, with the machine that it runs on; another one is started on the same disk. */
  crash(): void {
    if (!this.#process.isAlive) return;
    this.#process.kill();
    this.#path = undefined;
    const { random, scheduler } = this.#world;
    this.#disk.crash((unsynced) => random.below(unsynced + 1));
    scheduler.after(RESTART_MS, () => {
      this.#process = this.#start();
    });
  }

  #start(): SimProcess {
    const world = this.#world;
    const process = new SimProcess(world.newName('gateway'), world.scheduler);
    this.#open(process).catch(() => this.crash());
    return process;
  }

  async #open(process: SimProcess): Promise<void> {
    const { network, streams, newName } = this.#world;
    const path = await openClickPath({
      routing: this.#routing(process),
      publish: (shard, bytes, batchId) =>
        network.call(process, 'nats', `publish ${shard} ${batchId}`, () =>
          streams.publish(shard, bytes, batchId),
        ),
      findStanding: (shard, batchIds, sinceMs) =>
        network.call(process, 'nats', `look up ${shard}`, () =>
          streams.findStanding(shard, batchIds, sinceMs),
        ),
      folder: this.#folder(process),
      bytesMax: SPOOL_BYTES_MAX,
      publishTimeoutMs: PUBLISH_TIMEOUT_MS,
      encodeRecord: encodeClickRecord,
      encodeBatch: encodeClickBatch,
      decodeRecord: decodeClickFacts,
      gateway: process.name,
      hotAdRate: HOT_AD_RATE,
      hotAdCalmMs: HOT_AD_CALM_MS,
      announce: (announcement) => this.#announce(announcement),
      newBatchId: () => newName.call(this.#world, 'batch'),
      clock: () => this.nowMs,
      timers: process.timers,
      log: this.#world.logOf(process.name),
    });
    this.#path = path;
    void path.drainSpool(new AbortController().signal);
    void path.hotAds.run(new AbortController().signal);
  }

  /** Word among gateways comes late, or never. */
  #announce(announcement: RateAnnouncement): void {
    const { gateways, network, random } = this.#world;
    for (const gateway of gateways) {
      if (network.isLost() || network.isAway(this.process, 'nats')) continue;
      const { process } = gateway;
      process.later(random.below(50), () => gateway.#path?.hotAds.hear(announcement));
    }
  }

  #routing(process: SimProcess): RoutingWriter {
    const routing = this.#world.routingStream.open();
    routing.trouble.decide = (operation, border) =>
      this.#world.network.border(process, 'nats', `routing ${operation} ${border}`);
    return routing;
  }

  /** Its disk fails like any other system; a crash leaves what `MemorySpoolFolder` says. */
  #folder(process: SimProcess): SpoolFolder {
    const disk = this.#disk;
    disk.trouble.decide = (operation, border) =>
      this.#world.network.border(process, 'disk', `${operation} ${border}`);
    return disk;
  }
}
