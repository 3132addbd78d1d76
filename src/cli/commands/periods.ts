/** `clickledger periods`: billing periods with what is billed for each. */
import { Command } from 'commander';
import { readPeriods } from '../../adapters/postgres/billingPeriods.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { periodJson, renderPeriods } from '../periods/periodTable.ts';
import { withLedger } from '../servers.ts';
import { print } from '../terminal.ts';

const NAME = 'periods';

export function periodsCommand(): Command {
  return new Command(NAME)
    .description('show the billing periods, with their sums and what was booked in each for earlier ones')
    .option('--json', 'print a JSON object a line')
    .action(periods);
}

async function periods({ json }: { readonly json?: boolean }): Promise<void> {
  endWithClosedPipe();
  const found = await withLedger(NAME, ({ pool }) => readPeriods(pool));
  if (json !== true) print(renderPeriods(found));
  else for (const period of found) print(periodJson(period));
}
