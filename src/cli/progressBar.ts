/** Progress on stderr: a bar on a terminal, a plain line every few seconds elsewhere. */
import { Format, SingleBar } from 'cli-progress';

const BAR_COLUMNS = 20;
const LINE_EVERY_MS = 5_000;

/** What is said now; cut to the terminal's width beside a bar. */
export interface ProgressLine {
  readonly status: string;
  /** Left away where lines are plain. */
  readonly note?: string;
  /** Nothing is known of the end: there is no bar. */
  readonly isEndless?: boolean;
}

/**
 * Starts to draw.
 * @param lineOf called only when something is drawn: numbers are formatted for people, not for each piece of work
 */
export function startBar(
  output: NodeJS.WriteStream,
  total: number,
  lineOf: (progress: { readonly progress: number; readonly total: number }) => ProgressLine,
): SingleBar {
  const bar = new SingleBar({
    format: (options, params) => {
      const { status, note = '', isEndless = false } = lineOf(params);
      if (isEndless || output.isTTY !== true) return status;
      const columns = (output.columns || 80) - BAR_COLUMNS - 2;
      return `${Format.BarFormat(params.progress, options)} ${`${status}${note}`.slice(0, columns)}`;
    },
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: BAR_COLUMNS,
    clearOnComplete: true,
    gracefulExit: false,
    noTTYOutput: true,
    notTTYSchedule: LINE_EVERY_MS,
    stream: output,
  });
  bar.start(total, 0);
  return bar;
}
