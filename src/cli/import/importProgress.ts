/**
 * How far an import is, on stderr: a bar on a terminal, a plain line every few seconds elsewhere. Percent are of
 * the file's bytes, because how many rows it has is not known before its end.
 */
import { SingleBar } from 'cli-progress';
import { formatCount, formatCountOf, formatSpan } from '../format.ts';

const BAR_EVERY_MS = 100;
const BAR_COLUMNS = 20;
const LINE_EVERY_MS = 5_000;
const TROUBLE_EVERY_MS = 1_000;
/** The rate shown is that of the last seconds, so that a pause shows and the estimate follows. */
const RATE_SPAN_MS = 10_000;

export interface ProgressSource {
  readonly sizeBytes: number;
  bytesRead(): number;
  rowsSettled(): number;
  rowsRejected(): number;
  nowMs(): number;
}

export interface ImportProgress {
  /** Shows why nothing moves, until the next row is settled. */
  trouble(text: string): void;
  stop(): void;
}

interface Sample {
  readonly atMs: number;
  readonly rows: number;
  readonly bytes: number;
}

export function startProgress(source: ProgressSource, output: NodeJS.WriteStream): ImportProgress {
  return output.isTTY === true ? new BarProgress(source, output) : new LineProgress(source, output);
}

class Rate {
  readonly #source: ProgressSource;
  readonly #samples: Sample[] = [];

  constructor(source: ProgressSource) {
    this.#source = source;
    this.sample();
  }

  sample(): { percent: number; rowsPerSecond: number; left: string } {
    const { sizeBytes } = this.#source;
    const now = {
      atMs: this.#source.nowMs(),
      rows: this.#source.rowsSettled(),
      bytes: this.#source.bytesRead(),
    };
    this.#samples.push(now);
    while (now.atMs - (this.#samples[1]?.atMs ?? now.atMs) >= RATE_SPAN_MS) this.#samples.shift();
    const first = this.#samples[0] ?? now;
    const spanMs = Math.max(1, now.atMs - first.atMs);
    const bytesPerMs = (now.bytes - first.bytes) / spanMs;
    return {
      percent: sizeBytes === 0 ? 100 : Math.floor((now.bytes * 100) / sizeBytes),
      rowsPerSecond: Math.round(((now.rows - first.rows) * 1_000) / spanMs),
      left: bytesPerMs > 0 ? formatSpan((sizeBytes - now.bytes) / bytesPerMs) : '–',
    };
  }
}

/** What both forms share: reading the source, and forgetting a trouble once rows move again. */
abstract class Progress implements ImportProgress {
  protected readonly source: ProgressSource;
  protected readonly rate: Rate;
  readonly #timer: NodeJS.Timeout;
  #trouble: { readonly text: string; readonly atRows: number } | undefined;

  constructor(source: ProgressSource, everyMs: number) {
    this.source = source;
    this.rate = new Rate(source);
    this.#timer = setInterval(() => this.show(), everyMs);
  }

  trouble(text: string): void {
    this.#trouble = { text, atRows: this.source.rowsSettled() };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  protected abstract show(): void;

  /** Whether no row was settled since the last trouble. */
  protected get inTrouble(): boolean {
    return this.#trouble?.atRows === this.source.rowsSettled();
  }

  protected note(): string {
    if (this.#trouble !== undefined && this.inTrouble) return this.#trouble.text;
    const rejected = this.source.rowsRejected();
    return rejected === 0 ? '' : `${formatCount(rejected)} rejected`;
  }
}

class BarProgress extends Progress {
  readonly #bar: SingleBar;
  readonly #output: NodeJS.WriteStream;

  constructor(source: ProgressSource, output: NodeJS.WriteStream) {
    super(source, BAR_EVERY_MS);
    this.#output = output;
    this.#bar = new SingleBar({
      format: '{bar} {percentage}% {status}',
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: BAR_COLUMNS,
      clearOnComplete: true,
      stream: output,
    });
    this.#bar.start(100, 0, { status: '' });
  }

  override trouble(text: string): void {
    super.trouble(text);
    this.show();
  }

  override stop(): void {
    super.stop();
    this.#bar.stop();
  }

  protected override show(): void {
    const { percent, rowsPerSecond, left } = this.rate.sample();
    const rows = formatCountOf(this.source.rowsSettled(), 'row');
    const status = this.inTrouble
      ? `${rows}, ${this.note()}`
      : [rows, `${formatCount(rowsPerSecond)} rows/s`, `${left} left`, this.note()]
          .filter((text) => text !== '')
          .join(', ');
    // A line that wraps could not be drawn over.
    this.#bar.update(percent, { status: status.slice(0, (this.#output.columns || 80) - BAR_COLUMNS - 7) });
  }
}

class LineProgress extends Progress {
  readonly #output: NodeJS.WriteStream;
  #troubleShownMs = Number.NEGATIVE_INFINITY;

  constructor(source: ProgressSource, output: NodeJS.WriteStream) {
    super(source, LINE_EVERY_MS);
    this.#output = output;
  }

  override trouble(text: string): void {
    super.trouble(text);
    // Many calls may be in the same trouble at a time.
    const nowMs = this.source.nowMs();
    if (nowMs - this.#troubleShownMs < TROUBLE_EVERY_MS) return;
    this.#troubleShownMs = nowMs;
    this.#output.write(`${text}\n`);
  }

  protected override show(): void {
    const { percent, rowsPerSecond, left } = this.rate.sample();
    const note = this.note();
    const rows = formatCount(this.source.rowsSettled());
    this.#output.write(
      `${percent}% read, ${rows} rows, ${formatCount(rowsPerSecond)} rows/s, ${left} left${note === '' ? '' : `, ${note}`}\n`,
    );
  }
}
