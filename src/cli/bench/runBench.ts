/** Runs the parts of the bench one after the other, each on an installation of its own. */
import { errorText } from '../../domain/errorText.ts';
import { CliError } from '../cliError.ts';
import { isTty, printError, showLive } from '../terminal.ts';
import type { Bench, Section } from './bench.ts';
import { describeMachine } from './machine.ts';
import type { BenchReport, SectionReport } from './report.ts';
import { catchUp } from './sections/catchUp.ts';
import { endToEnd } from './sections/endToEnd.ts';
import { foldAndFlush } from './sections/foldAndFlush.ts';
import { hotAd } from './sections/hotAd.ts';
import { manyAds } from './sections/manyAds.ts';
import { openLoop } from './sections/openLoop.ts';
import { queries } from './sections/queries.ts';
import { redirects } from './sections/redirects.ts';

export const SECTIONS: readonly Section[] = [
  redirects,
  endToEnd,
  manyAds,
  hotAd,
  foldAndFlush,
  queries,
  catchUp,
  openLoop,
];

export interface BenchOptions extends Pick<Bench, 'rounds' | 'scale' | 'stop'> {
  /** Letters of the parts to run. */
  readonly only: readonly string[];
}

/**
 * A part that fails does not take the figures of the others with it: it stands in the report as failed.
 * @throws CliError where it is stopped
 */
export async function runBench({ only, ...options }: BenchOptions): Promise<BenchReport> {
  const startMs = Date.now();
  const machine = describeMachine();
  const chosen = SECTIONS.filter(({ letter }) => only.includes(letter));
  const bench: Bench = { ...options, progress: () => undefined };
  const sections: SectionReport[] = [];
  for (const [index, section] of chosen.entries()) {
    const where = `${index + 1} of ${chosen.length}, ${section.letter}. ${section.title}`;
    bench.progress = (what) => say(`${where}: ${what}`);
    bench.progress('starting');
    sections.push(await runSection(bench, section));
  }
  if (isTty()) showLive('');
  const { rounds, scale } = options;
  return {
    machine,
    startedAt: new Date(startMs).toISOString(),
    tookMs: Date.now() - startMs,
    rounds,
    scale,
    sections,
  };
}

/** In place on a terminal, a line each elsewhere; on stdout stands what was found alone. */
function say(text: string): void {
  if (isTty()) showLive(text);
  else printError(text);
}

async function runSection(bench: Bench, { measure, ...about }: Section): Promise<SectionReport> {
  try {
    return { ...about, ...(await measure(bench)) };
  } catch (error) {
    if (bench.stop.aborted) throw new CliError('stopped');
    printError(`${about.letter}. ${about.title}: ${errorText(error)}`);
    return { ...about, figures: [], processor: [], failure: errorText(error) };
  }
}
