/**
 * An installation in a simulation: the outside systems, each with a clock of its own, and the processes that use them
 * over the network. Everything that clickledger itself does here is its real code; what it runs on are the fakes of
 * test/support.
 */
import type { Log as ActorsLog } from '../../src/actors/ports.ts';
import type { RuleSet } from '../../src/domain/ruleSet.ts';
import type { Log as GatewayLog } from '../../src/gateway/ports.ts';
import { MemoryFolds } from '../support/memoryFold.ts';
import { MemoryLedger } from '../support/memoryLedger.ts';
import { MemoryRoutingStream } from '../support/memoryRouting.ts';
import { MemoryStreams } from '../support/memoryStream.ts';
import { Random } from '../support/random.ts';
import { Network } from './network.ts';
import { Scheduler } from './scheduler.ts';
import { SimGateway } from './simGateway.ts';
import { SimNode } from './simNode.ts';
import { SimProcess } from './simProcess.ts';

/** A round moment: 2025-06-15T12:00:00Z. */
const START_MS = Date.UTC(2025, 5, 15, 12);

export const RULES: RuleSet = {
  version: 1,
  maxFutureSkewMs: 5_000,
  maxEventAgeMs: 600_000,
  dedupHorizonMs: 15_000,
};

const NODE_NAMES = ['node-a', 'node-b', 'node-c'];
const RESTART_MS = 4_000;

/** How far each outside clock is from the true time, milliseconds. */
export interface Skews {
  broker: number;
  ledger: number;
}

export class World {
  readonly random: Random;
  readonly scheduler = new Scheduler(START_MS);
  readonly network: Network;
  readonly skews: Skews = { broker: 0, ledger: 0 };
  readonly routingStream: MemoryRoutingStream;
  readonly streams: MemoryStreams;
  readonly ledger: MemoryLedger;
  readonly folds = new MemoryFolds(RULES.dedupHorizonMs);
  readonly gateways: SimGateway[] = [];
  readonly nodes: SimNode[] = [];
  /** What the operator knows of the routing table. */
  operator;
  readonly trace: (line: string) => void;
  readonly #isTraced: boolean;
  shards: number;
  /** Hears of every process that begins to fill a memory again. */
  onReset: (process: SimProcess) => void = () => undefined;
  #names = 0;

  /** @param trace hears what goes wrong and what the processes log */
  constructor(seed: number, trace?: (line: string) => void) {
    this.random = new Random(seed);
    this.#isTraced = trace !== undefined;
    this.trace = (line) => trace?.(`${((this.scheduler.nowMs - START_MS) / 1000).toFixed(3)} ${line}`);
    this.network = new Network(this.scheduler, this.random, this.trace);
    this.shards = 1 + this.random.below(3);
    this.routingStream = new MemoryRoutingStream(this.shards, RULES);
    this.streams = new MemoryStreams(() => this.scheduler.nowMs + this.skews.broker);
    this.streams.ensure(this.shards);
    this.ledger = new MemoryLedger(() => this.scheduler.nowMs + this.skews.ledger);
    this.operator = this.routingStream.open();
    const operator = new SimProcess('operator', this.scheduler);
    this.operator.trouble.decide = () => this.network.latency(operator);
    for (let count = 1 + this.random.below(2); count > 0; count--) this.gateways.push(new SimGateway(this));
    for (let count = 1 + this.random.below(2); count > 0; count--) this.startNode();
  }

  /** A word that was never given before. */
  newName(kind: string): string {
    this.#names += 1;
    return `${kind}-${this.#names}`;
  }

  /** The log of a process; written only where somebody reads it. */
  logOf(name: string): ActorsLog & GatewayLog {
    const say = (facts: object, message: string) => {
      if (this.#isTraced) this.trace(`${name}: ${message} ${describe(facts)}`);
    };
    return { info: say, warn: say, error: say };
  }

  get liveNodes(): SimNode[] {
    return this.nodes.filter(({ process }) => process.isAlive);
  }

  /** Starts an actors process; one that ends by itself is started again, as `up` does. */
  startNode(name = this.random.pick(NODE_NAMES)): void {
    const node: SimNode = new SimNode(name, this, (error) => {
      this.trace(`${name} ended: ${String(error)}`);
      node.process.kill();
      this.scheduler.after(RESTART_MS, () => {
        if (this.liveNodes.length === 0) this.startNode(name);
      });
    });
    this.trace(`${name} starts`);
    this.nodes.push(node);
  }

  /** Everything that the streams hold, by shard. */
  get standing(): Map<number, ReturnType<MemoryStreams['messages']>> {
    return new Map(Array.from({ length: this.shards }, (_, shard) => [shard, this.streams.messages(shard)]));
  }

  /** A message that is no ClickBatch, from whoever. */
  poison(): void {
    this.streams.append(
      this.random.below(this.shards),
      Buffer.from([0xff, 0xff, 0xff]),
      this.scheduler.nowMs,
    );
  }
}

function describe(facts: object): string {
  return Object.entries(facts)
    .map(([name, value]) => `${name}=${value instanceof Error ? value.message : JSON.stringify(value)}`)
    .join(' ');
}
