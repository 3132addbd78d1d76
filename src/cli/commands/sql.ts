/** `clickledger sql`: questions over the archive that no other command answers. */
import { Command, Option } from 'commander';
import type { ClickQuery, QueryAnswer, QueryValue } from '../../adapters/duckdb/clickQuery.ts';
import { withArchiveFiles } from '../archive/archiveFiles.ts';
import { withInstallationArchive } from '../archive/installationArchive.ts';
import { CliError } from '../cliError.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { formatCount, formatCountOf, printable } from '../format.ts';
import { renderPlainTable } from '../plainTable.ts';
import { parseTimeRange, type TimeRange } from '../query/timeRange.ts';
import { print } from '../terminal.ts';

/** A table is laid out in memory, for people. */
const TABLE_ROWS_MAX = 1_000;
const CELL_CHARACTERS = 60;

interface SqlOptions {
  readonly from?: string;
  readonly to?: string;
  readonly json?: boolean;
  readonly csv?: boolean;
}

export function sqlCommand(): Command {
  return new Command('sql')
    .description('ask the archive in SQL (DuckDB)')
    .argument('<select>', 'one statement over `clicks`, a row a click')
    .option(
      '--from <time>',
      'only files with clicks that came in from here on: a span back such as -7d, or an ISO 8601 time (UTC)',
    )
    .option('--to <time>', 'likewise; the range ends before it')
    .option('--json', 'print a JSON object a row')
    .addOption(new Option('--csv', 'print comma-separated values with a head').conflicts('json'))
    .addHelpText('after', HELP)
    .action(sql);
}

const HELP = `
What is archived is asked, not the streams: ./clickledger archive shows up to when that is. The view \`records\` has
dead letters too, and the bytes of messages that are not as clickledger writes them. Times are UTC.

Examples:
  ./clickledger sql "describe clicks"
  ./clickledger sql "select ad_id, count(*) from clicks group by ad_id order by 2 desc limit 10"
  ./clickledger sql --from -1d --to now --csv "select click_id, event_time from clicks where ad_id = 'shoes'"`;

async function sql(text: string, options: SqlOptions): Promise<void> {
  endWithClosedPipe();
  // The engine is large, and no other command needs it.
  const { ClickQuery, QueryError } = await import('../../adapters/duckdb/clickQuery.ts');
  await withInstallationArchive((store) =>
    withArchiveFiles(store, rangeOf(options), async (paths) => {
      const query = await ClickQuery.open(paths);
      try {
        await show(await query.ask(text), options);
      } catch (error) {
        if (!(error instanceof QueryError)) throw error;
        throw new CliError(await explained(error.message, query));
      } finally {
        query.close();
      }
    }),
  );
}

/** Where a name is wrong, the right ones are said. */
async function explained(message: string, query: ClickQuery): Promise<string> {
  if (!/not found|does not exist/i.test(message)) return message;
  return `${message}\n\nclicks has the columns ${(await query.columns()).join(', ')}`;
}

async function show(answer: QueryAnswer, options: SqlOptions): Promise<void> {
  if (options.json === true) await showJson(answer);
  else if (options.csv === true) await showCsv(answer);
  else await showTable(answer);
}

async function showJson({ columns, portions }: QueryAnswer): Promise<void> {
  for await (const rows of portions) {
    for (const row of rows)
      print(JSON.stringify(Object.fromEntries(columns.map((name, place) => [name, row[place]]))));
  }
}

async function showCsv({ columns, portions }: QueryAnswer): Promise<void> {
  print(columns.map(csvCell).join(','));
  for await (const rows of portions) for (const row of rows) print(row.map(csvCell).join(','));
}

/** RFC 4180; null is empty. */
function csvCell(value: QueryValue): string {
  const text = value === null ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

async function showTable({ columns, portions }: QueryAnswer): Promise<void> {
  const shown: (readonly QueryValue[])[] = [];
  let all = 0;
  for await (const rows of portions) {
    all += rows.length;
    shown.push(...rows.slice(0, TABLE_ROWS_MAX - shown.length));
  }
  const heads = columns.map((head, place) => ({
    head: printable(head),
    align: shown.some((row) => typeof row[place] === 'number') ? ('right' as const) : ('left' as const),
  }));
  print(
    renderPlainTable(
      heads,
      shown.map((row) => row.map(tableCell)),
    ),
  );
  const more =
    all > shown.length ? `, the first ${formatCount(shown.length)} shown: --csv or --json for all` : '';
  print(`${formatCountOf(all, 'row')}${more}`);
}

function tableCell(value: QueryValue): string {
  if (value === null) return '–';
  const text = printable(String(value));
  return text.length <= CELL_CHARACTERS ? text : `${text.slice(0, CELL_CHARACTERS - 1)}…`;
}

/** @throws CliError where only one end is given */
function rangeOf({ from, to }: SqlOptions): TimeRange | undefined {
  if (from === undefined && to === undefined) return undefined;
  if (from === undefined || to === undefined)
    throw new CliError('--from and --to belong together: right is both, or neither for the whole archive');
  return parseTimeRange(from, to, Date.now());
}
