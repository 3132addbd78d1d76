/** `clickledger people`: how many people clicked ads or campaigns, as a table or as JSON. */
import { Argument, Command, Option } from 'commander';
import { HOUR_MS } from '../../domain/peopleSpan.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { PEOPLE_WIDTHS, type PeopleWidth, renderNobody, renderPeople } from '../people/peopleTable.ts';
import { renderFreshness } from '../query/aggregateTable.ts';
import { askQuery } from '../query/askQuery.ts';
import { parseTimeRange } from '../query/timeRange.ts';
import { print } from '../terminal.ts';

interface PeopleOptions {
  readonly from: string;
  readonly to: string;
  readonly granularity: string;
  readonly timeZone: string;
  readonly campaigns?: boolean;
  readonly json?: boolean;
}

export function peopleCommand(): Command {
  return new Command('people')
    .description('show how many people clicked ads')
    .addArgument(new Argument('<ids...>', 'the ads, or with --campaigns the campaigns'))
    .option(
      '--from <time>',
      'now, a span back such as -7d, or an ISO 8601 time (of --time-zone where it names none)',
      '-1d',
    )
    .option('--to <time>', 'likewise; the range ends before it, and goes outward to whole hours', 'now')
    .addOption(
      new Option('--granularity <width>', 'width of a row')
        .choices(PEOPLE_WIDTHS.map((name) => name.toLowerCase()))
        .default('day'),
    )
    .option('--time-zone <name>', 'whose days and months, such as Europe/Berlin', 'UTC')
    .option('--campaigns', 'the people of all ads of a campaign together')
    .option('--json', 'print the answer as the query service gave it')
    .addHelpText('after', HELP)
    .action(people);
}

const HELP = `
Counted are people in valid and repeat clicks, of what every shard has stored. Few are counted exactly, many are estimated.
A person cannot be recognised in another month (UTC): a row of several months is a sum, and says so.

Exit codes: 0 answered; 2 not: wrong use, or the query service is away.

Examples:
  ./clickledger people shoes hats --from -7d
  ./clickledger people spring --campaigns --from 2026-10-01 --to 2026-11-01 --granularity month`;

async function people(ids: readonly string[], options: PeopleOptions): Promise<void> {
  endWithClosedPipe();
  const nowMs = Date.now();
  const minutes = parseTimeRange(options.from, options.to, nowMs, { timeZone: options.timeZone });
  const range = {
    fromMs: Math.floor(minutes.fromMs / HOUR_MS) * HOUR_MS,
    toMs: Math.ceil(minutes.toMs / HOUR_MS) * HOUR_MS,
  };
  const width = options.granularity.toUpperCase() as PeopleWidth;
  const wanted = [...new Set(ids)];
  const answer = await askQuery((client) =>
    client.queryUniques({
      ...(options.campaigns === true ? { campaign_ids: wanted } : { ad_ids: wanted }),
      from_ms: range.fromMs,
      to_ms: range.toMs,
      granularity: width,
      time_zone: options.timeZone,
    }),
  );
  if (options.json === true) {
    print(JSON.stringify(answer, undefined, 2));
    return;
  }
  const { rows, info } = answer;
  print(rows.length === 0 ? renderNobody(wanted, range) : renderPeople(rows, width, options.timeZone));
  print(renderFreshness(info, nowMs));
}
