/** What the query service counts for Prometheus. docs/OPERATIONS.md says what each metric means and when to look. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds. */
const BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];
/** Calls that last for as long as their reader likes: how long says nothing. */
const STREAMS = ['StreamAggregates', 'ExportAggregates'];
/** Where rows of settled minutes came from. */
const SOURCES = ['process', 'flight', 'shared', 'database'] as const;

export class QueryMetrics {
  readonly registry = new Registry();
  readonly #calls = new Counter({
    name: 'clickledger_query_calls_total',
    help: 'Questions that were answered or refused, over gRPC and the web, by method and gRPC code.',
    labelNames: ['method', 'code'],
    registers: [this.registry],
  });
  readonly #open = new Gauge({
    name: 'clickledger_query_calls_open',
    help: 'Questions in hand, streams and exports included, by method.',
    labelNames: ['method'],
    registers: [this.registry],
  });
  readonly #rows = new Counter({
    name: 'clickledger_query_rows_total',
    help: 'Rows that answers had, by method; those of exported files not.',
    labelNames: ['method'],
    registers: [this.registry],
  });
  readonly #duration = new Histogram({
    name: 'clickledger_query_duration_seconds',
    help: 'How long questions took that were answered, streams and exports not, by method.',
    labelNames: ['method'],
    buckets: BUCKETS,
    registers: [this.registry],
  });
  readonly #settled = new Counter({
    name: 'clickledger_query_settled_reads_total',
    help: 'Parts of questions over settled minutes, by where their rows came from: the memory of the process, a reading of the same part that was under way (flight), the shared memory in Redis, or the database.',
    labelNames: ['source'],
    registers: [this.registry],
  });
  readonly #nowMs: () => number;

  /** @param remembered bytes that the process's memory of settled rows holds, asked at each look at the metrics */
  constructor(nowMs: () => number, remembered: () => number) {
    this.#nowMs = nowMs;
    new Gauge({
      name: 'clickledger_query_remembered_bytes',
      help: 'What the memory of settled rows of this process holds, about.',
      registers: [this.registry],
      collect() {
        this.set(remembered());
      },
    });
    // So that a first one is a rise, and no new series.
    for (const source of SOURCES) this.#settled.inc({ source }, 0);
  }

  /** A call has begun. @returns to be called with its code and rows when it has ended */
  begun(method: string): (code: string, rows: number) => void {
    const beganMs = this.#nowMs();
    this.#open.inc({ method });
    return (code, rows) => {
      this.#open.dec({ method });
      this.#calls.inc({ method, code });
      this.#rows.inc({ method }, rows);
      if (code === 'OK' && !STREAMS.includes(method))
        this.#duration.observe({ method }, (this.#nowMs() - beganMs) / 1_000);
    };
  }

  settledRead(source: (typeof SOURCES)[number]): void {
    this.#settled.inc({ source });
  }
}
