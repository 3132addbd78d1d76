/** How far an export is, on stderr: a bar on a terminal, a plain line every few seconds elsewhere. */
import type { SingleBar } from 'cli-progress';
import { formatCountOf, formatSpan } from '../format.ts';
import { type ProgressLine, startBar } from '../progressBar.ts';

const STEPS = 1_000;

export interface ExportState {
  /** From 0 to 1, about; 0: not known. */
  readonly progress: number;
  readonly rows: number;
  readonly bytes: number;
}

export class ExportProgress {
  readonly #nowMs: () => number;
  readonly #startMs: number;
  readonly #bar: SingleBar;
  #state: ExportState = { progress: 0, rows: 0, bytes: 0 };

  constructor(nowMs: () => number, output: NodeJS.WriteStream) {
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
    this.#bar = startBar(output, STEPS, () => this.#line());
  }

  show(state: ExportState): void {
    this.#state = state;
    this.#bar.update(Math.floor(state.progress * STEPS));
  }

  stop(): void {
    this.#bar.stop();
  }

  #line(): ProgressLine {
    const { progress, rows, bytes } = this.#state;
    const passedMs = this.#nowMs() - this.#startMs;
    const read = `${formatCountOf(rows, 'row')}, ${formatMegabytes(bytes)}`;
    // Nobody knows beforehand how many values a dimension has: then there is nothing to say of the end.
    if (progress === 0)
      return { status: rows === 0 ? 'waiting for the first rows' : `${read} so far`, isEndless: true };
    const left = formatSpan((passedMs / progress) * (1 - progress));
    return { status: `${Math.floor(progress * 100)}%, ${read}, ${left} left` };
  }
}

export function formatMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
