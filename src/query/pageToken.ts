/** A page's token: the place of the last row before it, and a hash of the request that it belongs to. Pure. */
import { invalidArgument } from '../contract/callErrors.ts';
import type { RowPlace } from './rowOrder.ts';

/** What a request without its page is known by. */
export function requestHash(request: object): string {
  return Bun.hash.xxHash64(JSON.stringify(request)).toString(36);
}

export function writePageToken(hash: string, { value, group, bucketMs }: RowPlace): string {
  return Buffer.from(JSON.stringify([hash, value, bucketMs, ...group])).toString('base64url');
}

/** @param groups how many values a group has */
export function readPageToken(token: string, hash: string, groups: number): RowPlace {
  const [given, value, bucketMs, ...group] = parse(token);
  const isPlace =
    typeof value === 'number' &&
    typeof bucketMs === 'number' &&
    group.length === groups &&
    group.every((text) => typeof text === 'string');
  if (given !== hash || !isPlace) {
    throw invalidArgument(
      'page_token is wrong: it must be the next_page_token of an answer to the same request, all but page_size as it was',
    );
  }
  return { value, bucketMs, group };
}

function parse(token: string): unknown[] {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    return Array.isArray(parsed) ? parsed : [];
  } catch {
    return [];
  }
}
