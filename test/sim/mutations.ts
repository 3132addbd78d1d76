/**
 * Ways to build it wrong, each as a change of the text that is examined. The simulator must notice every one of them;
 * where it does not, it proves nothing about the code as it is.
 */

export interface Mutation {
  readonly name: string;
  readonly edits: readonly Edit[];
}

interface Edit {
  /** From the project's folder. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly from: string;
  readonly to: string;
}

const FOLD = 'test/support/memoryFold.ts';
const LEDGER = 'test/support/memoryLedger.ts';

/** Entries that change the routes of clicks which may be published already. */
const BELOW_CLOSED_UNTIL_TAKEN: Edit = {
  file: 'src/domain/routingTable.ts',
  from: 'if (entry.fromMs < this.#closedUntilMs) {',
  to: 'if (entry.fromMs < 0) {',
};

export const MUTATIONS: readonly Mutation[] = [
  {
    // The first thing people build: seen is seen, nobody remembers what was answered.
    name: 'plain SETNX',
    edits: [
      {
        file: FOLD,
        from: `    const counting = purpose === 'count';
`,
        to: `    const counting = purpose === 'count';
    if (counting) return { kind: 'verdicts', letters: this.#fold.apply(timestampMs, records) };
`,
      },
    ],
  },
  {
    name: "routing by today's fan-out instead of the routing time's",
    edits: [
      {
        file: 'src/domain/routingTable.ts',
        from: 'fanOuts === undefined ? 1 : valueAt(fanOuts, timeMs, 1)',
        to: 'fanOuts === undefined ? 1 : valueAt(fanOuts, Infinity, 1)',
      },
    ],
  },
  {
    name: 'routing time taken from event_time_ms',
    edits: [
      {
        file: 'src/domain/identity.ts',
        from: 'return impressionTimeMs(facts) ?? clickTimeMs(facts);',
        to: 'return (facts as unknown as { eventTimeMs: number }).eventTimeMs;',
      },
    ],
  },
  {
    name: 'no closed_until',
    edits: [
      {
        file: 'src/gateway/closedUntil.ts',
        from: 'return table.isFromTheFuture(click) || table.neededClosedUntilMs(click) <= table.closedUntilMs;',
        to: 'return table.isFromTheFuture(click) || true;',
      },
      {
        file: 'src/gateway/closedUntil.ts',
        from: 'if (neededMs + RAISE_EARLY_MS <= table.closedUntilMs) return;',
        to: 'if (neededMs >= 0) return;',
      },
    ],
  },
  {
    name: 'a hot ad spread from now on',
    edits: [
      {
        file: 'src/gateway/hotAds.ts',
        from: 'const fromMs = table.closedUntilMs;',
        to: 'const fromMs = nowMs;',
      },
      BELOW_CLOSED_UNTIL_TAKEN,
    ],
  },
  {
    name: 'an entry appended to another table than it was decided on',
    edits: [
      {
        file: 'test/support/memoryRouting.ts',
        from: 'if (this.#stream.entries.length !== last) return false;',
        to: 'if (last === 0) return false;',
      },
      BELOW_CLOSED_UNTIL_TAKEN,
    ],
  },
  {
    name: 'routes kept in Postgres',
    edits: [
      {
        file: 'test/sim/chaos.ts',
        from: 'this.#snapshots.push(world.ledger.snapshot());',
        to: 'this.#snapshots.push({ ledger: world.ledger.snapshot(), entries: [...world.routingStream.entries] });',
      },
      {
        file: 'test/sim/chaos.ts',
        from: 'if (this.#snapshots.length > 0) world.ledger.restore(world.random.pick(this.#snapshots));',
        to: `if (this.#snapshots.length === 0) return;
    const { ledger, entries } = world.random.pick(this.#snapshots) as { ledger: unknown; entries: [] };
    world.ledger.restore(ledger);
    world.routingStream.entries.splice(0, Infinity, ...entries);
    // Whoever reads routes from there reads what is there now.
    world.operator = world.routingStream.open();
    for (const { process } of world.liveNodes) process.kill();
    for (const gateway of world.gateways) gateway.crash();`,
      },
    ],
  },
  {
    name: 'no folded_through check',
    edits: [
      {
        file: FOLD,
        from: 'if (sequence <= this.through) {',
        to: 'if (sequence <= this.through && !counting) {',
      },
      {
        file: FOLD,
        from: `    if (sequence > this.through + 1) {
`,
        to: `    if (false) {
`,
      },
    ],
  },
  {
    name: 'a message judged again instead of answered from its stored verdict',
    edits: [
      {
        file: FOLD,
        from: `return stored === undefined ? { kind: 'gone' } : { kind: 'verdicts', letters: stored };`,
        to: `return { kind: 'verdicts', letters: this.#fold.apply(timestampMs, records) };`,
      },
    ],
  },
  {
    name: 'no warm',
    edits: [{ file: FOLD, from: "if (counting && sequence <= this.#warm) return { kind: 'gone' };", to: '' }],
  },
  {
    name: 'a memory that is not filled again after a loss',
    edits: [
      {
        file: 'src/actors/verdicts.ts',
        from: 'const from = Math.min(start, next);',
        to: 'const from = Math.max(start, next);',
      },
    ],
  },
  {
    name: 'verdicts written after last-seen times',
    edits: [
      {
        file: FOLD,
        from: `    if (counting) this.#verdicts.set(sequence, letters);
    if (halfWay && counting) throw new LostConnection('OOM command not allowed');
`,
        to: `    if (halfWay && counting) throw new LostConnection('OOM command not allowed');
    if (counting) this.#verdicts.set(sequence, letters);
`,
      },
    ],
  },
  {
    name: 'memory expired by the clock',
    edits: [
      {
        file: 'src/domain/fold.ts',
        from: 'lastSeconds >= this.#streamSeconds - this.#horizonSeconds;',
        to: 'lastSeconds >= Math.floor(Date.now() / 1000) - this.#horizonSeconds;',
      },
    ],
  },
  {
    name: 'an error treated as seen',
    edits: [
      {
        file: 'src/actors/verdicts.ts',
        from: `    return this.#insist(stop, () =>
      memory.fold(message.sequence, message.timestampMs, records, floor, purpose),
    );`,
        to: `    return memory
      .fold(message.sequence, message.timestampMs, records, floor, purpose)
      .catch(() => ({ kind: 'verdicts', letters: 'D'.repeat(records.length / 21) }));`,
      },
    ],
  },
  {
    name: 'floor outside the transaction',
    edits: [
      {
        file: LEDGER,
        from: `storeUnited: (flush, united) => this.trouble.around('store', () => this.#store(flush, united)),`,
        to: `storeUnited: (flush, united) => this.trouble.around('store', () => this.#store(flush, united)),
      storeCounts: (flush, united) => this.trouble.around('store', () => this.#store({ ...flush, newFloor: flush.floor }, united)),
      moveFloor: (flush, united) => this.trouble.around('store', () => this.#store({ ...flush, rows: [], deadLetters: [], records: 0, duplicates: 0 }, united)),`,
      },
      {
        file: 'test/sim/simNode.ts',
        from: `return network.call(process, 'postgres', 'store', () => own.storeUnited(flush, united));`,
        to: `await network.call(process, 'postgres', 'store', () => own.storeCounts(flush, united));
        return network.call(process, 'postgres', 'store', () => own.moveFloor(flush, united));`,
      },
    ],
  },
  {
    // Counts alone do not show it: what lies between two floors is the same, whoever counted it. Two owners do.
    name: 'no epoch check',
    edits: [
      {
        file: LEDGER,
        from: 'const sameOwner = row.epoch === flush.epoch && row.claim === flush.claim;',
        to: 'const sameOwner = row !== undefined;',
      },
      {
        file: LEDGER,
        from: 'if (row === undefined || row.epoch !== epoch || row.claim !== claim) continue;',
        to: 'if (row === undefined) continue;',
      },
    ],
  },
  {
    name: 'a flush retried without reading the row',
    edits: [
      {
        file: LEDGER,
        from: 'if (!sameOwner || row.floor !== flush.floor) {',
        to: 'if (!sameOwner) {',
      },
    ],
  },
  {
    name: 'an idle owner that never compares',
    edits: [
      {
        file: 'src/actors/node.ts',
        from: 'held.has(owner.shard)',
        to: '(held.has(owner.shard) || beat.floor === beat.flushingTo)',
      },
    ],
  },
  {
    name: 'a gap skipped',
    edits: [
      {
        file: 'src/actors/shardActor.ts',
        from: 'if (message.sequence !== this.#applied + 1) {',
        to: 'if (message.sequence <= this.#applied) {',
      },
    ],
  },
  {
    name: 'a judge that reads the clock',
    edits: [
      {
        file: 'src/domain/judge.ts',
        from: 'facts.eventTimeMs >= facts.receivedMs - rules.maxEventAgeMs',
        to: 'facts.eventTimeMs >= Date.now() - 30_000',
      },
    ],
  },
  {
    name: 'a spool that answers before it has written',
    edits: [
      {
        file: 'src/gateway/spool.ts',
        from: 'this.#waitingBytes += frame.length;',
        to: 'this.#waitingBytes += frame.length; resolve();',
      },
    ],
  },
  {
    name: 'a spool that forgets what was not confirmed',
    edits: [
      {
        file: 'src/gateway/spoolDrain.ts',
        from: 'if (left.length > 0) {',
        to: 'if (left.length > batches.length) {',
      },
    ],
  },
  {
    name: 'a spool that reads beyond a torn record',
    edits: [
      {
        file: 'src/domain/spoolEntry.ts',
        from: 'if (end > bytes.length || Bun.hash.crc32(body) !== bytes.readUInt32BE(at + 4)) break;',
        to: 'if (body.length === 0) break;',
      },
    ],
  },
  {
    name: 'a receipt that names another click',
    edits: [{ file: 'src/gateway/groupCommit.ts', from: 'firstIndex += records.length;', to: '' }],
  },
  {
    name: 'a flush tried again that adds its rollups again',
    edits: [
      {
        file: LEDGER,
        from: "if (sameOwner && row.floor === flush.newFloor) return { kind: 'stored' };",
        to: `if (sameOwner && row.floor === flush.newFloor) {
        this.#addRollups(flush.rollups);
        return { kind: 'stored' };
      }`,
      },
    ],
  },
  {
    name: 'the dimensions of a click of an earlier quarter of an hour left out',
    edits: [
      {
        file: 'src/domain/rollupCounts.ts',
        from: 'if (dimensions === NO_DIMENSIONS) return 0;',
        to: 'if (dimensions === NO_DIMENSIONS || this.#quarters.some(({ quarter }) => quarter > minute)) return 0;',
      },
    ],
  },
  {
    name: "one page's site taken for all with the same other values",
    edits: [
      {
        file: 'src/adapters/nats/dimensionsCache.ts',
        from: 'const known = bySite.get(site);',
        to: 'const [known] = bySite.values();',
      },
    ],
  },
  {
    name: 'people written back, whoever has written there since they were read',
    edits: [
      {
        file: LEDGER,
        from: `if (row === undefined) return { kind: 'fenced', found: 'no row' };
    const sameOwner`,
        to: `if (row === undefined) return { kind: 'fenced', found: 'no row' };
    for (const [key, people] of united) this.#state.people.set(key, people);
    const sameOwner`,
      },
    ],
  },
  {
    name: 'the people of repeats left out',
    edits: [
      {
        file: 'src/domain/windowCounts.ts',
        from: "return disposition === 'VALID' || disposition === 'REPEAT';",
        to: "return disposition === 'VALID';",
      },
    ],
  },
];
