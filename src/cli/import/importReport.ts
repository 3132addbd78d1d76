/**
 * What became of the rows of an import: how many were accepted, and how many were rejected for which reason.
 *
 * Reasons name values, which differ from row to row; so rejections are grouped by the reason without them. The
 * number of groups is bounded all the same: a hostile file must not fill memory with reasons.
 */
import Table from 'cli-table3';
import { formatCount, formatCountOf, printable } from '../format.ts';
import { styled } from '../terminal.ts';

const GROUPS_MAX = 50;
const OTHER_REASONS = 'other reasons';
const REASON_LENGTH_MAX = 300;
const REASON_COLUMNS_MIN = 30;
/** What the columns but that of the reason take, borders and all, with room for a billion rows. */
const OTHER_COLUMNS = 45;

interface Group {
  count: number;
  readonly firstLine: number;
  readonly firstReason: string;
}

export interface Timing {
  readonly elapsedMs: number;
  /** Rows with an answer a second, over the whole import. */
  readonly rowsPerSecond: number;
}

export class ImportReport {
  #accepted = 0;
  #rejected = 0;
  readonly #groups = new Map<string, Group>();

  get accepted(): number {
    return this.#accepted;
  }

  get rejected(): number {
    return this.#rejected;
  }

  /** Rows with an answer, of whichever kind. */
  get settled(): number {
    return this.#accepted + this.#rejected;
  }

  accept(): void {
    this.#accepted += 1;
  }

  reject(line: number, reason: string): void {
    this.#rejected += 1;
    const wanted = groupOf(reason);
    const key = this.#groups.has(wanted) || this.#groups.size < GROUPS_MAX ? wanted : OTHER_REASONS;
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, { count: 1, firstLine: line, firstReason: reason });
    else group.count += 1;
  }

  /** Rejections by reason, the most frequent first. */
  get reasons(): readonly Readonly<Group>[] {
    return [...this.#groups.values()].sort((one, other) => other.count - one.count);
  }

  timing(elapsedMs: number): Timing {
    return { elapsedMs, rowsPerSecond: (this.settled * 1_000) / Math.max(1, elapsedMs) };
  }

  /** The table for people, on a terminal of so many columns. */
  render(elapsedMs: number, columns: number): string {
    const table = new Table({
      head: ['rows', 'outcome', 'line', 'reason of the first one'].map((text) => styled('bold', text)),
      colAligns: ['right', 'left', 'right', 'left'],
      colWidths: [null, null, null, Math.max(REASON_COLUMNS_MIN, columns - OTHER_COLUMNS)],
      wordWrap: true,
      style: { head: [], border: [] },
    });
    table.push([formatCount(this.#accepted), styled('green', 'accepted'), '', '']);
    for (const { count, firstLine, firstReason } of this.reasons) {
      table.push([formatCount(count), styled('red', 'rejected'), String(firstLine), shortened(firstReason)]);
    }
    const { rowsPerSecond } = this.timing(elapsedMs);
    const took = `${(elapsedMs / 1_000).toFixed(1)} s, ${formatCount(Math.round(rowsPerSecond))} rows/s`;
    return `${table.toString()}\n${formatCountOf(this.settled, 'row')} in ${took}`;
  }
}

/** The reason without the values in it: quoted texts, numbers, UUIDs. */
function groupOf(reason: string): string {
  return reason
    .replaceAll(/"(?:[^"\\]|\\.)*"|'[^']*'|`[^`]*`/g, '…')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/gi, '…')
    .replaceAll(/\d+/g, '…');
}

function shortened(reason: string): string {
  const line = printable(reason.replaceAll(/\s+/g, ' '));
  return line.length <= REASON_LENGTH_MAX ? line : `${line.slice(0, REASON_LENGTH_MAX - 1)}…`;
}
