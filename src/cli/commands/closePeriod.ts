/** `clickledger close-period`: makes the rows of a billing period final. */
import { Argument, Command, InvalidArgumentError } from 'commander';
import { closePeriod } from '../../adapters/postgres/billingPeriods.ts';
import { type BillingPeriod, parsePeriod } from '../../domain/billingPeriod.ts';
import { closeWords } from '../periods/periodTable.ts';
import { withLedger } from '../servers.ts';
import { print, printError } from '../terminal.ts';

const NAME = 'close-period';
const EXIT_REFUSED = 1;

export function closePeriodCommand(): Command {
  return new Command(NAME)
    .description('close a billing period: its rows are final, what comes later is booked in the next')
    .addArgument(new Argument('<month>', 'a UTC month, such as 2026-10').argParser(month))
    .addHelpText('after', HELP)
    .action(close);
}

const HELP = `
Periods are closed in order. All of the month must be settled: ./clickledger reconcile --settle does it.
It cannot be taken back.

Exit codes: 0 closed, now or before; 1 refused; 2 wrong use.`;

function month(text: string): BillingPeriod {
  const period = parsePeriod(text);
  if (period !== undefined) return period;
  throw new InvalidArgumentError('Right is a year and a month, such as 2026-10.');
}

async function close(period: BillingPeriod): Promise<void> {
  const outcome = await withLedger(NAME, ({ pool }) => closePeriod(pool, period));
  if (outcome.kind === 'closed' || outcome.kind === 'already') {
    print(closeWords(period, outcome));
  } else {
    printError(closeWords(period, outcome));
    process.exitCode = EXIT_REFUSED;
  }
}
