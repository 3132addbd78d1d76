/** `clickledger hot-ads`: which ads get the most clicks, and over how many shards they are spread, as it happens. */
import { Command } from 'commander';
import { onRates } from '../../adapters/nats/adRates.ts';
import { systemClock } from '../../adapters/system/clock.ts';
import { systemTimers } from '../../adapters/system/timers.ts';
import { ANNOUNCE_EVERY_MS, AnnouncedRates } from '../../domain/announcedRates.ts';
import { CliError } from '../cliError.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import {
  type HotAdsView,
  hotAdsJson,
  renderHotAdLines,
  renderHotAds,
  viewHotAds,
} from '../hotAds/hotAdTable.ts';
import { withBroker } from '../servers.ts';
import { interrupts } from '../stack/interrupts.ts';
import { isTty, print, showLive } from '../terminal.ts';

const NAME = 'hot-ads';
const REFRESH_MS = 1_000;
/** Off a terminal, the lines for people come once in so many refreshes. */
const REFRESHES_A_LINE = 5;
/** Every gateway that runs was heard by then. */
const LISTEN_MS = 2 * ANNOUNCE_EVERY_MS;
const TERMINAL_ROWS = 24;

interface HotAdsOptions {
  readonly once?: boolean;
  readonly json?: boolean;
}

export function hotAdsCommand(): Command {
  return new Command(NAME)
    .description('show which ads get the most clicks, and over how many shards they are spread, until Ctrl-C')
    .option('--once', 'show it once')
    .option('--json', 'print a JSON object a line, one a second')
    .action(hotAds);
}

async function hotAds({ once, json }: HotAdsOptions): Promise<void> {
  endWithClosedPipe();
  const stop = interrupts(() => process.exit(130));
  await withBroker(NAME, async ({ connection, routing }) => {
    const rates = new AnnouncedRates();
    onRates(connection, (announcement) => rates.hear(announcement, systemClock()));
    const look = async () => {
      await routing.read();
      return viewHotAds(rates, routing.table, systemClock());
    };
    await systemTimers.pause(LISTEN_MS, stop);
    if (once === true) return showOnce(await look(), json === true);
    for (let refresh = 0; !stop.aborted; refresh += 1) {
      const view = await look();
      if (json === true) print(hotAdsJson(view));
      else if (isTty()) showLive(renderHotAds(view, process.stdout.rows || TERMINAL_ROWS));
      else if (refresh % REFRESHES_A_LINE === 0) print(renderHotAdLines(view));
      await systemTimers.pause(REFRESH_MS, stop);
    }
  });
}

function showOnce(view: HotAdsView, json: boolean): void {
  if (view.gateways === 0) throw new CliError('no gateway announces its rates: none runs on these servers');
  print(json ? hotAdsJson(view) : renderHotAds(view));
}
