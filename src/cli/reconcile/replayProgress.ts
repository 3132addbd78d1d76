/** How far a replay is, on stderr: a bar on a terminal, a plain line every few seconds elsewhere. */
import type { SingleBar } from 'cli-progress';
import { formatCount, formatSpan } from '../format.ts';
import { type ProgressLine, startBar } from '../progressBar.ts';

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
    this.#bar = startBar(output, Math.max(1, expected), (drawn) => this.#line(drawn));
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

  #line({ progress, total }: { readonly progress: number; readonly total: number }): ProgressLine {
    const perMs = this.#records / Math.max(1, this.#nowMs() - this.#startMs);
    const left = perMs > 0 ? formatSpan(Math.max(0, total - this.#records) / perMs) : '–';
    const status = `${Math.floor(progress * 100)}% read, ${formatCount(this.#records)} records, ${formatCount(Math.round(perMs * 1_000))} records/s, ${left} left`;
    return { status, note: this.#trouble === '' ? '' : `; ${this.#trouble}` };
  }
}
