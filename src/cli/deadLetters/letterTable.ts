/** Dead letters as people read them, a line a letter, and as programs do, a JSON object a line. Pure. */
import type { ClickFacts } from '../../domain/clickRecord.ts';
import type { DeadLetterSelection, StoredDeadLetter } from '../../domain/deadLetter.ts';
import { type LetterReader, recordsOf } from '../../domain/redrive.ts';
import { formatUuid } from '../../domain/uuid7.ts';
import { formatCount, formatCountOf, formatSecond, printable } from '../format.ts';
import { type PlainColumn, renderPlainTable } from '../plainTable.ts';

const COLUMNS: readonly PlainColumn[] = [
  { head: 'stored (UTC)', align: 'left' },
  { head: 'shard', align: 'right' },
  { head: 'sequence', align: 'right' },
  { head: 'index', align: 'right' },
  { head: 'reason', align: 'left' },
  { head: 'bytes', align: 'right' },
  { head: 'ad', align: 'left' },
  { head: 'click', align: 'left' },
  { head: 'redriven to', align: 'left' },
];
const AD_CHARACTERS = 24;

/** A letter's line of the table; kept instead of the letter, whose bytes may be many. */
export function letterLine(letter: StoredDeadLetter, reader: LetterReader): readonly string[] {
  const { redriven } = letter;
  const facts = firstClickOf(letter, reader);
  return [
    Number.isFinite(letter.buriedMs) ? formatSecond(letter.buriedMs) : '–',
    `${letter.shard}`,
    `${letter.sequence}`,
    `${letter.index}`,
    letter.reason,
    formatCount(letter.bytes.length),
    facts === undefined ? '–' : shortened(printable(facts.adId)),
    facts === undefined ? '–' : formatUuid(facts.clickId),
    redriven === undefined ? 'not yet' : `shard ${redriven.shard}, sequence ${redriven.sequence}`,
  ];
}

/** @param all how many letters there are, shown ones and others */
export function renderLetters(
  lines: readonly (readonly string[])[],
  all: { readonly letters: number; readonly redriven: number },
): string {
  const counted = `${formatCountOf(all.letters, 'dead letter')}, ${formatCount(all.redriven)} redriven`;
  const foot =
    lines.length < all.letters
      ? `the newest ${formatCount(lines.length)} of ${counted}; --limit shows more`
      : counted;
  return `${renderPlainTable(COLUMNS, lines)}\n${foot}`;
}

/** What is said where there are none. */
export function renderNoLetters({ shard, reason }: DeadLetterSelection): string {
  const words = ['no dead letters'];
  if (shard !== undefined) words.push(`of shard ${shard}`);
  if (reason !== undefined) words.push(`with the reason ${reason}`);
  return words.join(' ');
}

/** One line of JSON; names of the position as in a receipt, bytes as base64. */
export function letterJson(letter: StoredDeadLetter, reader: LetterReader): string {
  const { redriven } = letter;
  const facts = firstClickOf(letter, reader);
  return JSON.stringify({
    shard: letter.shard,
    stream_incarnation: letter.incarnation,
    stream_sequence: letter.sequence,
    index: letter.index,
    reason: letter.reason,
    stored_at: Number.isFinite(letter.buriedMs) ? new Date(letter.buriedMs).toISOString() : null,
    ad_id: facts?.adId ?? null,
    click_id: facts === undefined ? null : formatUuid(facts.clickId),
    redriven:
      redriven === undefined
        ? null
        : {
            at: new Date(redriven.atMs).toISOString(),
            shard: redriven.shard,
            stream_incarnation: redriven.incarnation,
            stream_sequence: redriven.sequence,
          },
    bytes: letter.bytes.toBase64(),
  });
}

/** What stands for the letter: its click, or the first that can be read of a whole message. */
function firstClickOf(letter: StoredDeadLetter, reader: LetterReader): ClickFacts | undefined {
  return recordsOf(letter, reader).find(({ facts }) => facts !== undefined)?.facts;
}

function shortened(text: string): string {
  return text.length <= AD_CHARACTERS ? text : `${text.slice(0, AD_CHARACTERS - 1)}…`;
}
