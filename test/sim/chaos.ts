/** Everything that goes wrong in a simulation, and what operators do meanwhile; which of it when, the seed decides. */
import type { Weather } from './network.ts';
import { CALM, type System } from './network.ts';
import { RULES, type World } from './world.ts';

const AWAY_MS = 12_000;
const STOPPED_MS = 15_000;
const SKEW_MS = 20_000;
const SNAPSHOTS_KEPT = 4;
/** About as long as it takes to fill a memory again. */
const REFILL_MS = 60;

type Act = (world: World, chaos: Chaos) => void;

/** Each act and how often it is chosen beside the others. */
const ACTS: readonly (readonly [weight: number, name: string, act: Act])[] = [
  [4, 'a node dies', (world) => pickNode(world)?.process.kill()],
  [4, 'a node starts', (world) => startNode(world)],
  [3, 'a node is stopped for a while', (world) => stopForAWhile(world)],
  [2, 'a node drains', (world) => pickNode(world)?.drain()],
  [2, 'a second process of the same name', (world) => startTwin(world)],
  [3, 'a gateway crashes', (world) => world.random.pick(world.gateways).crash()],
  [2, 'Redis is wiped', (world) => world.folds.wipe()],
  [
    3,
    'Redis is wiped, and whoever fills it again dies over it',
    (world, chaos) => dieRefilling(world, chaos),
  ],
  [2, 'a stale replica of Redis is promoted', (world) => world.folds.loseTail(1 + world.random.below(30))],
  [2, 'Redis runs out of memory half way', ({ folds }) => setHalfWay(folds)],
  [2, 'a system is away for a while', (world) => goAway(world)],
  [1, 'a stream does not answer', (world) => silence(world)],
  [2, 'a process is cut off from a system', (world) => cutOff(world)],
  [3, 'PostgreSQL is saved', (world, chaos) => chaos.save(world)],
  [3, 'PostgreSQL goes back', (world, chaos) => chaos.goBack(world)],
  [1, 'the broker forgets batch ids', (world) => world.streams.forgetBatchIds()],
  [2, 'a clock is set', (world) => setClock(world)],
  [3, 'an ad gets another fan-out', (world, chaos) => void changeFanOut(world, chaos.adIds)],
  [1, 'there are more shards', (world) => void raiseShards(world)],
  [1, 'somebody writes rubbish on a stream', (world) => world.poison()],
  [1, 'time passes while nobody counts', (world) => passTime(world)],
];
const WEIGHTS = ACTS.reduce((sum, [weight]) => sum + weight, 0);

export class Chaos {
  readonly adIds: readonly string[];
  readonly #world: World;
  readonly #snapshots: unknown[] = [];
  /** How often each act was done. */
  readonly done = new Map<string, number>();

  constructor(world: World, adIds: readonly string[]) {
    this.#world = world;
    this.adIds = adIds;
    world.network.weather = anyWeather(world);
  }

  act(): void {
    let lot = this.#world.random.below(WEIGHTS);
    for (const [weight, name, act] of ACTS) {
      lot -= weight;
      if (lot >= 0) continue;
      this.#world.trace(name);
      this.done.set(name, (this.done.get(name) ?? 0) + 1);
      act(this.#world, this);
      return;
    }
  }

  save(world: World): void {
    this.#snapshots.push(world.ledger.snapshot());
    if (this.#snapshots.length > SNAPSHOTS_KEPT) this.#snapshots.shift();
  }

  goBack(world: World): void {
    if (this.#snapshots.length > 0) world.ledger.restore(world.random.pick(this.#snapshots));
  }
}

/** From now on nothing goes wrong any more: what is stopped goes on, what is away is back, twins are gone. */
export function makeGood(world: World): void {
  world.network.weather = CALM;
  world.network.away.clear();
  world.network.cutOff.clear();
  world.streams.silent.clear();
  world.folds.failHalfWay = false;
  world.onReset = () => undefined;
  const names = new Set<string>();
  for (const { process } of world.liveNodes) {
    process.goOn();
    if (names.has(process.name)) process.kill();
    names.add(process.name);
  }
  for (const { process } of world.gateways) process.goOn();
  if (world.liveNodes.length === 0) world.startNode();
}

function anyWeather({ random }: World): Weather {
  const rate = () => (random.chance(0.4) ? 0 : random.next() * 0.06);
  return { lostRequest: rate(), lostReply: rate(), late: rate(), twice: rate(), slow: rate() };
}

function pickNode(world: World) {
  return world.liveNodes.length === 0 ? undefined : world.random.pick(world.liveNodes);
}

function startNode(world: World): void {
  if (world.liveNodes.length < 3) world.startNode();
}

function startTwin(world: World): void {
  const node = pickNode(world);
  if (node !== undefined && world.liveNodes.length < 4) world.startNode(node.process.name);
}

function stopForAWhile(world: World): void {
  const process = world.random.chance(0.8)
    ? pickNode(world)?.process
    : world.random.pick(world.gateways).process;
  process?.stop();
  world.scheduler.after(world.random.below(STOPPED_MS), () => process?.goOn());
}

/** The next one finds a memory that was begun for another place; further back, where PostgreSQL went back, too. */
function dieRefilling(world: World, chaos: Chaos): void {
  world.folds.wipe();
  world.onReset = (process) => {
    world.onReset = () => undefined;
    world.scheduler.after(world.random.below(REFILL_MS), () => {
      process.kill();
      if (world.random.chance(0.5)) chaos.goBack(world);
      startNode(world);
    });
  };
}

function setHalfWay(folds: World['folds']): void {
  folds.failHalfWay = true;
}

function goAway({ random, network, scheduler, trace }: World): void {
  const system = random.pick<System>(['nats', 'nats', 'redis', 'postgres', 'disk']);
  trace(`${system} is away`);
  network.away.add(system);
  scheduler.after(random.below(AWAY_MS), () => network.away.delete(system));
}

function cutOff({ random, network, scheduler, liveNodes, gateways }: World): void {
  const { process } = random.pick([...liveNodes, ...gateways]);
  network.cutOff.set(process, random.pick<System>(['nats', 'redis', 'postgres', 'disk']));
  scheduler.after(random.below(AWAY_MS), () => network.cutOff.delete(process));
}

function silence({ random, streams, scheduler, shards }: World): void {
  const shard = random.below(shards);
  streams.silent.add(shard);
  scheduler.after(random.below(AWAY_MS), () => streams.silent.delete(shard));
}

function setClock({ random, skews, gateways }: World): void {
  const skewMs = random.below(2 * SKEW_MS) - SKEW_MS;
  if (random.chance(0.4)) skews.broker = skewMs;
  else if (random.chance(0.3)) skews.ledger = skewMs;
  else random.pick(gateways).skewMs = skewMs;
}

async function changeFanOut({ random, operator }: World, adIds: readonly string[]): Promise<void> {
  await operator.read();
  const fromMs = operator.table.closedUntilMs + random.below(5_000);
  await operator.append({ kind: 'fan_out', adId: random.pick(adIds), fanOut: 1 + random.below(4), fromMs });
}

async function raiseShards(world: World): Promise<void> {
  const { operator, streams, random } = world;
  await operator.read();
  const shards = operator.table.newestShards + 1;
  if (shards > 5) return;
  world.shards = Math.max(world.shards, shards);
  streams.ensure(shards);
  await operator.append({
    kind: 'shards',
    shards,
    fromMs: operator.table.closedUntilMs + random.below(5_000),
  });
}

function passTime(world: World): void {
  for (const { process } of world.liveNodes) process.kill();
  world.scheduler.nowMs += Math.floor(world.random.next() * 20 * RULES.dedupHorizonMs);
  world.scheduler.after(world.random.below(3_000), () => startNode(world));
}
