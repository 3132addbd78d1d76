/**
 * Where a listing of clicks goes on, as a text that its reader hands back. It holds the shards as they were counted when the
 * first page was asked for, and belongs to one ad and range.
 */
import * as z from 'zod';
import { invalidArgument } from '../contract/callErrors.ts';
import { cut } from '../domain/limits.ts';
import type { ClickRange, ListingPlace } from './clickListing.ts';

const VALUE_SHOWN_BYTES_MAX = 40;
const whole = z.number().int().nonnegative();
const schema = z.object({
  ad: z.string(),
  from: whole,
  to: whole,
  shards: z.array(z.tuple([whole, z.string(), whole, whole])),
  after: z.tuple([whole, whole, whole]),
});

export function writePlace({ shards, after }: ListingPlace, { adId, fromMs, toMs }: ClickRange): string {
  const token: z.infer<typeof schema> = {
    ad: adId,
    from: fromMs,
    to: toMs,
    shards: shards.map((one) => [one.shard, one.incarnation, one.floor, one.arrivedThroughMs]),
    after: [after.shard, after.sequence, after.index],
  };
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

/** @throws CallError where the text is no token, or one of another ad or range */
export function readPlace(text: string, { adId, fromMs, toMs }: ClickRange): ListingPlace {
  const token = schema.safeParse(readJson(text)).data;
  const last = token?.shards.find(([shard]) => shard === token.after[0]);
  if (token === undefined || last === undefined)
    throw wrong(text, 'a next_page_token of ListClicks, or empty');
  if (token.ad !== adId || token.from !== fromMs || token.to !== toMs)
    throw wrong(text, `asked with its own ad and range: ${token.ad}, ${token.from} to ${token.to}`);
  const [shard, sequence, index] = token.after;
  return {
    shards: token.shards.map(([number, incarnation, floor, arrivedThroughMs]) => {
      return { shard: number, incarnation, floor, arrivedThroughMs };
    }),
    after: { shard, incarnation: last[1], sequence, index },
  };
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    return undefined;
  }
}

function wrong(text: string, right: string) {
  const shown = JSON.stringify(cut(text, VALUE_SHOWN_BYTES_MAX));
  return invalidArgument(`page_token ${shown} is wrong: it must be ${right}`);
}
