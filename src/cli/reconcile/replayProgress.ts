/** How far a replay is, on stderr: a bar on a terminal, a plain line every few seconds elsewhere. */
import { Format, type Options, type Params, SingleBar } from 'cli-progress';
import { formatCount, formatSpan } from '../format.ts';

const BAR_COLUMNS = 20;
const LINE_EVERY_MS = 5_000;

export class ReplayProgress {
  readonly #output: NodeJS.WriteStream;
  readonly #nowMs: () => number;
  readonly #startMs: number;
  readonly #bar: SingleBar;
  #records = 0;
  #trouble = '';

  /** @param expected how many records there are to read, about */
  constructor(expected: number, nowMs: () => number, output: NodeJS.WriteStream) {
    this.#output = output;
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
    this.#bar = new SingleBar({
      // Called only when something is drawn: numbers are formatted for people, not for each message.
      format: (options, params) => this.#line(options, params),
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: BAR_COLUMNS,
      clearOnComplete: true,
      gracefulExit: false,
      noTTYOutput: true,
      notTTYSchedule: LINE_EVERY_MS,
      stream: output,
    });
    this.#bar.start(Math.max(1, expected), 0);
  }

  read(records: number): void {
    this.#records += records;
    this.#trouble = '';
    this.#bar.update(this.#records);
  }

  /** Shows why nothing moves, until something does. */
  trouble(text: string): void {
    const isNew = this.#trouble !== text;
    this.#trouble = text;
    if (isNew && this.#output.isTTY !== true) this.#output.write(`${text}\n`);
  }

  stop(): void {
    this.#bar.stop();
  }

  #line(options: Options, { progress, total }: Params): string {
    const perMs = this.#records / Math.max(1, this.#nowMs() - this.#startMs);
    const left = perMs > 0 ? formatSpan(Math.max(0, total - this.#records) / perMs) : '–';
    const status = `${Math.floor(progress * 100)}% read, ${formatCount(this.#records)} records, ${formatCount(Math.round(perMs * 1_000))} records/s, ${left} left`;
    if (this.#output.isTTY !== true) return status;
    const note = this.#trouble === '' ? '' : `; ${this.#trouble}`;
    const columns = (this.#output.columns || 80) - BAR_COLUMNS - 2;
    return `${Format.BarFormat(progress, options)} ${`${status}${note}`.slice(0, columns)}`;
  }
}
