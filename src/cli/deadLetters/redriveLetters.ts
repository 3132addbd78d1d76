/**
 * Publishes dead letters again, one after the other, and marks each when its clicks are durable.
 *
 * Between publishing and marking it may be killed. Run again, it publishes the same bytes under the same id: within
 * the stream's duplicate window the broker absorbs them and names the first position; later the fold recognises the
 * clicks (I4). So a letter's clicks are counted once.
 */
import { encodeClickBatch } from '../../adapters/nats/clickBatchCodec.ts';
import type { StoredDeadLetter } from '../../domain/deadLetter.ts';
import type { Position, PublishedBatch } from '../../domain/position.ts';
import { type LetterReader, planRedrive, redriveMessageId } from '../../domain/redrive.ts';
import type { RoutingTable } from '../../domain/routingTable.ts';
import type { RedriveReport } from './redriveReport.ts';

/** A letter may be at fault (too large for the broker); after so many in a row it is a server. */
const FAILURES_IN_A_ROW_MAX = 3;

export interface RedriveParts {
  readonly letters: AsyncIterable<StoredDeadLetter>;
  readonly reader: LetterReader;
  /** As read just now. */
  readonly table: RoutingTable;
  readonly publish: (shard: number, bytes: Uint8Array, messageId: string) => Promise<PublishedBatch>;
  readonly mark: (letter: Position, to: Omit<Position, 'index'>) => Promise<void>;
  readonly report: RedriveReport;
  readonly dryRun: boolean;
}

/** Ends when every letter was looked at, or when nothing goes through any more. */
export async function redriveLetters(parts: RedriveParts): Promise<void> {
  const { reader, table, report, dryRun } = parts;
  let failures = 0;
  for await (const letter of parts.letters) {
    const plan = planRedrive(letter, reader, table);
    if (plan.kind !== 'publish') {
      report[plan.kind](letter, plan.why);
    } else if (dryRun) {
      report.wouldBeRedriven(letter, plan.shard);
    } else {
      failures = (await redrive(letter, plan.shard, plan.records, parts)) ? 0 : failures + 1;
      if (failures < FAILURES_IN_A_ROW_MAX) continue;
      report.stopped(`${failures} letters in a row did not go through`);
      return;
    }
  }
  report.sawAll();
}

/** Whether it went through. */
async function redrive(
  letter: StoredDeadLetter,
  shard: number,
  records: readonly Uint8Array[],
  { table, publish, mark, report }: RedriveParts,
): Promise<boolean> {
  let doing = `shard ${shard} did not confirm it`;
  try {
    const bytes = encodeClickBatch(table.sequence, records);
    const to = { shard, ...(await publish(shard, bytes, redriveMessageId(letter))) };
    doing = `its clicks are at shard ${shard}, sequence ${to.sequence}, but that could not be written down`;
    await mark(letter, to);
    report.redriven(letter, to);
    return true;
  } catch (error) {
    report.left(letter, `${doing}: ${error instanceof Error ? error.message : error}`);
    return false;
  }
}
