/** What the reconciler counts for Prometheus. docs/OPERATIONS.md says what each metric means and when to look. */
import { Counter, Gauge, Registry } from 'prom-client';
import type { JobEnd } from '../../domain/reconcileJob.ts';

/** What a pass of the archiver did. */
interface ArchivedPass {
  readonly segments: number;
  readonly messagesRemoved: number;
  readonly shardsTroubled: readonly number[];
}

/** How a run ended, as a label. */
const RESULTS = ['equal', 'different', 'undecided', 'failed', 'cancelled', 'interrupted'] as const;

export class ReconcileMetrics {
  readonly registry = new Registry();
  readonly #runs = new Counter({
    name: 'clickledger_reconcile_runs_total',
    help: 'Runs of the reconciler, by how they ended.',
    labelNames: ['result'],
    registers: [this.registry],
  });
  readonly #drift = new Gauge({
    name: 'clickledger_drift_windows',
    help: 'Windows whose stored counts differed from the streams in the last run that came to an answer, and were not restated by it.',
    registers: [this.registry],
  });
  readonly #driftShards = new Gauge({
    name: 'clickledger_drift_shards',
    help: 'Shards whose own sums differed from their streams in that run.',
    registers: [this.registry],
  });
  readonly #driftRollups = new Gauge({
    name: 'clickledger_drift_rollups',
    help: 'Rows of rollups (sums, and clicks by dimensions) that differed in that run, and were not mended by it.',
    registers: [this.registry],
  });
  readonly #settled = new Gauge({
    name: 'clickledger_settled_through_seconds',
    help: 'Minutes before this moment are settled, seconds since the Unix epoch; 0: none yet.',
    registers: [this.registry],
  });
  readonly #records = new Counter({
    name: 'clickledger_reconcile_records_total',
    help: 'Records that were replayed.',
    registers: [this.registry],
  });
  readonly #duration = new Gauge({
    name: 'clickledger_reconcile_last_duration_seconds',
    help: 'How long the last run took.',
    registers: [this.registry],
  });

  readonly #segments = new Counter({
    name: 'clickledger_archived_segments_total',
    help: 'Hours of a stream that were put into the archive.',
    registers: [this.registry],
  });
  readonly #removed = new Counter({
    name: 'clickledger_archive_removed_messages_total',
    help: 'Messages that are in the archive only since then: old, archived and counted.',
    registers: [this.registry],
  });
  readonly #archiveTroubles = new Gauge({
    name: 'clickledger_archive_troubled_shards',
    help: 'Shards of which the last pass could not archive, or could not remove, what it should have.',
    registers: [this.registry],
  });

  /** @param openDrift windows of settled minutes that differ, asked at each look at the metrics */
  constructor(openDrift: () => Promise<number>) {
    new Gauge({
      name: 'clickledger_drift_open_windows',
      help: 'Windows of minutes that a run has passed which differed then, and were not restated since.',
      registers: [this.registry],
      async collect() {
        // While the database is away it says what it said last.
        await openDrift().then(
          (windows) => this.set(windows),
          () => undefined,
        );
      },
    });
    // So that a first failure is a rise, and no new series.
    for (const result of RESULTS) this.#runs.inc({ result }, 0);
  }

  replayed(records: number): void {
    this.#records.inc(records);
  }

  ended(end: JobEnd, durationMs: number): void {
    this.#runs.inc({ result: resultOf(end) });
    this.#duration.set(durationMs / 1_000);
    if (end.state !== 'DONE') return;
    const { differing, restated, undecided, shardsDiffering } = end.result;
    this.#drift.set(differing - restated - undecided);
    this.#driftShards.set(shardsDiffering);
    const { rollupsDiffering, rollupsRestated, rollupsUndecided } = end.result;
    this.#driftRollups.set(rollupsDiffering - rollupsRestated - rollupsUndecided);
  }

  /** @param pass undefined: another process archives */
  archived(pass: ArchivedPass | undefined): void {
    if (pass === undefined) return;
    this.#segments.inc(pass.segments);
    this.#removed.inc(pass.messagesRemoved);
    this.#archiveTroubles.set(pass.shardsTroubled.length);
  }

  settledThrough(ms: number): void {
    this.#settled.set(ms / 1_000);
  }
}

function resultOf(end: JobEnd): (typeof RESULTS)[number] {
  switch (end.state) {
    case 'DONE': {
      const { differing, undecided, shardsDiffering, rollupsDiffering, rollupsUndecided } = end.result;
      const left = undecided + rollupsUndecided;
      if (differing + rollupsDiffering > left || shardsDiffering > 0) return 'different';
      return left > 0 ? 'undecided' : 'equal';
    }
    case 'FAILED':
      return 'failed';
    case 'CANCELLED':
      return 'cancelled';
    case 'INTERRUPTED':
      return 'interrupted';
  }
}
