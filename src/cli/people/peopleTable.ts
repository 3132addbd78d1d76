/** How many people there were, as a table that says how sure each number is. Pure. */
import type { UniquesRow__Output } from '../../contract/generated/clickledger/v1/UniquesRow.ts';
import { formatCount, formatMinute } from '../format.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';
import type { TimeRange } from '../query/timeRange.ts';

export const PEOPLE_WIDTHS = ['HOUR', 'DAY', 'MONTH'] as const;
export type PeopleWidth = (typeof PEOPLE_WIDTHS)[number];

/** So many characters of `2026-10-01 00:00` name a row of that width. */
const TIME_LENGTH: Readonly<Record<PeopleWidth, number>> = { HOUR: 16, DAY: 10, MONTH: 7 };

export function renderPeople(
  rows: readonly UniquesRow__Output[],
  width: PeopleWidth,
  timeZone: string,
): string {
  const isCampaign = rows.some(({ campaign_id }) => campaign_id !== '');
  const columns: PlainColumn[] = [
    { head: isCampaign ? 'campaign' : 'ad', align: 'left' },
    { head: `time (${timeZone})`, align: 'left' },
    { head: 'people', align: 'right' },
    { head: 'how sure', align: 'left' },
  ];
  const clock = clockOf(timeZone);
  const lines = rows.map((row) => [
    row.ad_id || row.campaign_id,
    clock.format(row.from_ms).replace(',', '').slice(0, TIME_LENGTH[width]),
    formatCount(row.people),
    sureness(row),
  ]);
  return renderPlainTable(columns, lines);
}

/** What is said where nobody is. */
export function renderNobody(ids: readonly string[], { fromMs, toMs }: TimeRange): string {
  return `nobody clicked ${ids.join(', ')} between ${formatMinute(fromMs)} and ${formatMinute(toMs)} UTC, as far as is known`;
}

function sureness({ method, standard_error, summed_unions }: UniquesRow__Output): string {
  const how = method === 'EXACT' ? 'exact' : `± ${(standard_error * 100).toFixed(1)} % (standard error)`;
  return summed_unions > 1 ? `${how}, sum of ${summed_unions} months` : how;
}

/** `2026-10-01, 00:00` by that zone's clock. */
function clockOf(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('sv-SE', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  });
}
