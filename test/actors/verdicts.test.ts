/** How an owner mends the fold's memory: whatever it finds there, the verdicts are those of the whole fold. */
import { describe, expect, it } from 'vitest';
import { Verdicts } from '../../src/actors/verdicts.ts';
import { Fold, horizonStartMs } from '../../src/domain/fold.ts';
import { foldRecordsOf, type JudgedMessage, judgeMessage } from '../../src/domain/judgedMessage.ts';
import { StreamGapError, type StreamMessage } from '../../src/domain/streamMessage.ts';
import { RULES, recordOf, uuid7At } from '../support/clicks.ts';
import { ShardWorld } from '../support/shardWorld.ts';
import { turns } from '../support/until.ts';

const HORIZON_MS = RULES.dedupHorizonMs;

class Asker {
  readonly stop = new AbortController();
  readonly #world: ShardWorld;
  readonly #verdicts: Verdicts;

  constructor(world: ShardWorld) {
    this.#world = world;
    this.#verdicts = new Verdicts({
      ...world.parts(world.ledger.of('node', 1_000)),
      shard: 0,
      incarnation: 'made-1',
      horizonMs: HORIZON_MS,
      examine: (message) => Promise.resolve(examine(world, message)),
    });
  }

  /** @param streamTimeMs as the checkpoint says; else that of the messages that the stream still holds */
  of(sequence: number, floor = 0, streamTimeMs = 0): Promise<string> {
    const known = this.#world.streams.messages(0).filter((message) => message.sequence <= sequence);
    const message = known.at(-1);
    if (message?.sequence !== sequence) throw new Error(`no message ${sequence}`);
    const latestMs = Math.max(streamTimeMs, ...known.map(({ timestampMs }) => timestampMs));
    return this.judge(message, latestMs, floor);
  }

  judge(message: StreamMessage, streamTimeMs: number, floor = 0): Promise<string> {
    const judged = examine(this.#world, message);
    return this.#verdicts.of(message, judged, { floor, streamTimeMs }, this.stop.signal);
  }
}

function examine(world: ShardWorld, message: StreamMessage): JudgedMessage {
  return judgeMessage(message, world.streams.decode(message.bytes), 0, world.routing.table);
}

/** The whole fold's verdicts, a text a message. */
function whole(world: ShardWorld): string[] {
  const fold = new Fold(HORIZON_MS);
  return world.streams
    .messages(0)
    .map((message) => fold.apply(message.timestampMs, foldRecordsOf(examine(world, message).clicks)));
}

/** Messages of one click each on one of two impressions, `stepMs` apart. */
function worldOf(messages: number, stepMs: number): ShardWorld {
  const world = new ShardWorld();
  const startMs = world.nowMs;
  for (let number = 1; number <= messages; number++) {
    world.nowMs += stepMs;
    world.publish(
      recordOf({
        // Every third click is the one before, sent again.
        clickId: uuid7At(startMs, number % 3 === 0 ? number - 1 : number),
        impressionId: uuid7At(startMs, 1_000 + (number % 2)),
        eventTimeMs: world.nowMs,
        receivedMs: world.nowMs,
      }),
    );
  }
  return world;
}

describe('verdicts', () => {
  it('of a shard that no memory knows: one horizon is folded first', async () => {
    const world = worldOf(40, 60_000);
    const verdicts = whole(world);
    const asker = new Asker(world);
    expect(await asker.of(35)).toBe(verdicts[34]);
    // Twelve minutes back is more than the horizon of ten: not everything was read again.
    const from = world.streams
      .messages(0)
      .find(({ timestampMs }) => timestampMs >= horizonStartMs(world.nowMs - 5 * 60_000, HORIZON_MS));
    expect(from?.sequence).toBe(25);
    expect(world.log.lines.at(-1)?.facts).toMatchObject({ why: 'none', from: 25, next: 35 });
  });

  it('that are asked for again are the same', async () => {
    const world = worldOf(6, 1_000);
    const verdicts = whole(world);
    const asker = new Asker(world);
    for (const sequence of [1, 2, 3, 2, 1, 3, 4, 5, 6, 6]) {
      expect(await asker.of(sequence)).toBe(verdicts[sequence - 1]);
    }
    expect(world.folds.resets).toBe(1);
  });

  it('that were given away below a floor are folded again where the ledger went back', async () => {
    const world = worldOf(10, 1_000);
    const verdicts = whole(world);
    const asker = new Asker(world);
    for (let sequence = 1; sequence <= 10; sequence++) await asker.of(sequence, sequence - 1);
    expect(await asker.of(3)).toBe(verdicts[2]);
    expect(world.log.lines.at(-1)?.facts).toMatchObject({ why: 'gone' });
    for (let sequence = 4; sequence <= 10; sequence++)
      expect(await asker.of(sequence)).toBe(verdicts[sequence - 1]);
  });

  it('of a memory that is a little behind: it is folded forward, not begun anew', async () => {
    const world = worldOf(12, 1_000);
    const verdicts = whole(world);
    const asker = new Asker(world);
    for (let sequence = 1; sequence <= 12; sequence++) await asker.of(sequence);
    world.folds.loseTail(5);
    expect(world.folds.through(0, 'made-1')).toBe(7);
    expect(await asker.of(12)).toBe(verdicts[11]);
    expect(world.folds.resets).toBe(1);
    // What was counted by others meanwhile can still be asked for.
    expect(await asker.of(9)).toBe(verdicts[8]);
    expect(world.folds.resets).toBe(1);
  });

  it('of a memory further behind than a horizon: it begins anew, with far fewer messages', async () => {
    const world = worldOf(60, 60_000);
    const verdicts = whole(world);
    const asker = new Asker(world);
    expect(await asker.of(1)).toBe(verdicts[0]);
    expect(await asker.of(60)).toBe(verdicts[59]);
    expect(world.folds.resets).toBe(2);
    expect(world.log.lines.at(-1)?.facts).toMatchObject({ why: 'behind', from: 50, next: 60 });
  });

  it('of a memory behind by just the horizon: it is folded forward', async () => {
    const world = worldOf(11, 60_000);
    const asker = new Asker(world);
    await asker.of(1);
    expect(await asker.of(11)).toBe(whole(world)[10]);
    expect(world.folds.resets).toBe(1);
  });

  it('of two owners that fill the memory at once, one of them late', async () => {
    const world = worldOf(30, 20_000);
    const verdicts = whole(world);
    for (const delayed of [0, 1, 2, 3, 5, 8]) {
      world.folds.wipe();
      const [late, owner] = [new Asker(world), new Asker(world)];
      const hold = world.folds.trouble.hold('fold', 'before');
      const lateAnswer = late.of(20);
      await hold.reached;
      const answers: Promise<string>[] = [owner.of(30)];
      for (let turn = 0; turn < delayed; turn++) await Promise.resolve();
      hold.release();
      expect(await Promise.all([lateAnswer, ...answers])).toEqual([verdicts[19], verdicts[29]]);
      expect(await late.of(21)).toBe(verdicts[20]);
    }
  });

  it('are the same where the memory is wiped while it is filled', async () => {
    const world = worldOf(30, 20_000);
    const verdicts = whole(world);
    let folds = 0;
    world.folds.trouble.decide = (operation) => {
      if (operation === 'fold' && ++folds % 9 === 0 && folds < 120) world.folds.wipe();
    };
    expect(await new Asker(world).of(30)).toBe(verdicts[29]);
    expect(world.folds.resets).toBeGreaterThan(2);
  });

  it('are not guessed where the memory does not answer: it is asked again, and says the same (I7)', async () => {
    const world = worldOf(3, 1_000);
    const verdicts = whole(world);
    const asker = new Asker(world);
    await asker.of(1);
    world.folds.trouble.failNext('fold', 'after');
    expect(await asker.of(2)).toBe(verdicts[1]);
    world.folds.failHalfWay = true;
    expect(await asker.of(3)).toBe(verdicts[2]);
  });

  it('come after a stream that could not be read for a moment', async () => {
    const world = worldOf(5, 1_000);
    world.streams.trouble.failNext('firstSequenceAt', 'before');
    world.folds.trouble.failNext('reset', 'after');
    expect(await new Asker(world).of(5)).toBe(whole(world)[4]);
  });

  it('are not made from another stream that stands in the place of theirs (I2)', async () => {
    const world = worldOf(5, 1_000);
    const asker = new Asker(world);
    for (let sequence = 1; sequence <= 4; sequence++) await asker.of(sequence);
    const [message] = world.streams.messages(0).slice(4);
    if (message === undefined) throw new Error('no message 5');
    world.streams.makeAnew(0);
    for (let number = 1; number <= 9; number++) world.publish(recordOf());
    // The memory is lost just now, and the message in hand is from the stream before.
    world.folds.wipe();
    await expect(asker.judge(message, world.nowMs)).rejects.toThrow(StreamGapError);
    expect(world.folds.through(0, 'made-1')).toBeUndefined();
  });

  it('are waited for no longer once the owner is stopped', async () => {
    const world = worldOf(1, 1_000);
    world.folds.trouble.failNext('fold', 'before', Infinity);
    const asker = new Asker(world);
    const answer = asker.of(1);
    const reason = new Error('stopped by the test');
    asker.stop.abort(reason);
    await expect(answer).rejects.toBe(reason);
  });

  it('of a message more than a horizon behind its stream, with all before it expired: it alone is folded', async () => {
    const world = worldOf(3, 1_000);
    const streamTimeMs = world.nowMs;
    world.nowMs -= 2 * HORIZON_MS;
    world.publish(recordOf());
    const right = whole(world)[3];
    world.streams.expireBelow(0, 4);
    // Every call takes a turn, so that asking without end would end at the test's time limit.
    world.folds.trouble.decide = () => turns(1);
    // No message is young enough to begin with; the fold must not begin after the one that is asked for.
    expect(await new Asker(world).of(4, 3, streamTimeMs)).toBe(right);
    expect(world.folds.resets).toBe(1);
  });
});
