/** How far an export is, on stderr: a bar on a terminal, a plain line every few seconds elsewhere. */
import { Format, type Options, type Params, SingleBar } from 'cli-progress';
import { formatCountOf, formatSpan } from '../format.ts';

const BAR_COLUMNS = 20;
const LINE_EVERY_MS = 5_000;
const STEPS = 1_000;

export interface ExportState {
  /** From 0 to 1, about; 0: not known. */
  readonly progress: number;
  readonly rows: number;
  readonly bytes: number;
}

export class ExportProgress {
  readonly #output: NodeJS.WriteStream;
  readonly #nowMs: () => number;
  readonly #startMs: number;
  readonly #bar: SingleBar;
  #state: ExportState = { progress: 0, rows: 0, bytes: 0 };

  constructor(nowMs: () => number, output: NodeJS.WriteStream) {
    this.#output = output;
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
    this.#bar = new SingleBar({
      // Called only when something is drawn: numbers are formatted for people, not for each piece.
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
    this.#bar.start(STEPS, 0);
  }

  show(state: ExportState): void {
    this.#state = state;
    this.#bar.update(Math.floor(state.progress * STEPS));
  }

  stop(): void {
    this.#bar.stop();
  }

  #line(options: Options, params: Params): string {
    const { progress, rows, bytes } = this.#state;
    const passedMs = this.#nowMs() - this.#startMs;
    const read = `${formatCountOf(rows, 'row')}, ${formatMegabytes(bytes)}`;
    // Nobody knows beforehand how many values a dimension has: then there is nothing to say of the end.
    if (progress === 0) return rows === 0 ? 'waiting for the first rows' : `${read} so far`;
    const left = formatSpan((passedMs / progress) * (1 - progress));
    const status = `${Math.floor(progress * 100)}%, ${read}, ${left} left`;
    if (this.#output.isTTY !== true) return status;
    const columns = (this.#output.columns || 80) - BAR_COLUMNS - 2;
    return `${Format.BarFormat(params.progress, options)} ${status.slice(0, columns)}`;
  }
}

export function formatMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
