/** Fields that requests have in common: read and checked. What is wrong is named with its field, its value and what is right. */
import { closest, distance } from 'fastest-levenshtein';
import { invalidArgument } from '../contract/callErrors.ts';
import type { Filter__Output as FilterMessage } from '../contract/generated/clickledger/v1/Filter.ts';
import { QUARTER_MS } from '../domain/dimensions.ts';
import { type DimensionFilter, GROUP_DIMENSIONS } from '../domain/groups.ts';
import { AD_ID_BYTES_MAX, cut, isId } from '../domain/limits.ts';
import { COUNTS, type Count } from '../domain/ranking.ts';
import type { TimeRange } from '../domain/timeRange.ts';
import { isTimeZone } from '../domain/timeZone.ts';
import { MINUTE_MS } from '../domain/windowCounts.ts';

const FILTER_VALUES_MAX = 1_000;
/** Each may name a dimension once to include and once more to exclude; more can only be a mistake. */
const FILTERS_MAX = 24;
/** The beginning of the year 9999: PostgreSQL reads no dates of five digits, and the last rows of a range may end after it. */
export const TIME_MAX_MS = Date.UTC(9999, 0);

/**
 * One of the names that are known.
 * @param field as the caller knows it
 * @param value of an enumeration, a number where the contract has no name for it
 */
export function oneOf<Name extends string>(
  field: string,
  value: string | number,
  names: readonly Name[],
): Name {
  const given = String(value);
  const known = names.find((name) => name === given);
  if (known !== undefined) return known;
  const near = given === '' ? undefined : likely(given, names);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  throw invalidArgument(`${field} ${shown(given)} is wrong: it must be one of ${names.join(', ')}${hint}`);
}

/** @param field where the request stands in a larger one, such as "left." */
export function readRange(
  { from_ms: fromMs, to_ms: toMs }: { from_ms: number; to_ms: number },
  field = '',
): TimeRange {
  for (const [name, value] of Object.entries({ from_ms: fromMs, to_ms: toMs })) {
    if (!Number.isSafeInteger(value) || value < 0 || value > TIME_MAX_MS || value % MINUTE_MS !== 0) {
      throw invalidArgument(
        `${field}${name} ${value} is wrong: it must be milliseconds since 1970 on a whole minute (a multiple of ${MINUTE_MS}), before the year 9999`,
      );
    }
  }
  if (toMs <= fromMs) {
    throw invalidArgument(`${field}to_ms ${toMs} is wrong: it must be after ${field}from_ms ${fromMs}`);
  }
  return { fromMs, toMs };
}

/** Dimensions of clicks are counted by quarters of an hour. */
export function checkQuarters({ fromMs, toMs }: TimeRange, field = ''): void {
  for (const [name, value] of Object.entries({ from_ms: fromMs, to_ms: toMs })) {
    if (value % QUARTER_MS !== 0) {
      throw invalidArgument(
        `${field}${name} ${value} is wrong: with dimensions of clicks it must be on a whole quarter of an hour (a multiple of ${QUARTER_MS})`,
      );
    }
  }
}

export function readTimeZone(name: string): string {
  if (name === '') return 'UTC';
  if (isTimeZone(name)) return name;
  const near = likely(name, Intl.supportedValuesOf('timeZone'));
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  throw invalidArgument(
    `time_zone ${shown(name)} is wrong: it must be an IANA name such as "Asia/Kathmandu"${hint}`,
  );
}

export function readFilters(filters: readonly FilterMessage[], field = ''): DimensionFilter[] {
  if (filters.length > FILTERS_MAX) {
    throw invalidArgument(
      `${field}filters must have at most ${FILTERS_MAX} entries, it has ${filters.length}`,
    );
  }
  return filters.map((filter, index) => {
    const name = `${field}filters[${index}]`;
    const dimension = oneOf(`${name}.dimension`, filter.dimension, GROUP_DIMENSIONS);
    for (const list of ['include', 'exclude'] as const) {
      const values = filter[list];
      if (values.length > FILTER_VALUES_MAX) {
        throw invalidArgument(
          `${name}.${list} must have at most ${FILTER_VALUES_MAX} values, it has ${values.length}`,
        );
      }
      // PostgreSQL has no texts with it.
      const broken = values.find((value) => value.includes('\u0000'));
      if (broken !== undefined) {
        throw invalidArgument(`${name}.${list} ${shown(broken)} is wrong: it must not hold the character 0`);
      }
    }
    const { include, exclude } = filter;
    if (include.length === 0 && exclude.length === 0) {
      throw invalidArgument(
        `${name} is wrong: it must include or exclude a value; right is also no such filter`,
      );
    }
    return { dimension, include, exclude };
  });
}

/** Ids without any twice. */
export function readIds(field: string, ids: readonly string[], most: number): void {
  if (ids.length > most) {
    throw invalidArgument(`${field} must have at most ${most} entries, it has ${ids.length}`);
  }
  const seen = new Set<string>();
  for (const id of ids) {
    if (!isId(id, AD_ID_BYTES_MAX)) {
      throw invalidArgument(
        `${field} ${shown(id)} is wrong: it must be 1 to ${AD_ID_BYTES_MAX} bytes without control characters`,
      );
    }
    if (seen.has(id)) throw invalidArgument(`${field} ${shown(id)} stands there twice`);
    seen.add(id);
  }
}

export function readCount(field: string, given: string): Count {
  return given === '' ? 'clicks' : oneOf(field, given, COUNTS);
}

/** Given text as it may stand in a message. */
export function shown(text: string): string {
  return JSON.stringify(cut(text, 200));
}

/** The name that was meant, where one is near. */
function likely(given: string, names: readonly string[]): string | undefined {
  const short = given.slice(0, 100);
  const lower = new Map(names.map((name) => [name.toLowerCase(), name]));
  const near = closest(short.toLowerCase(), [...lower.keys()]);
  const apart = distance(short.toLowerCase(), near);
  return apart <= Math.max(2, short.length / 3) ? lower.get(near) : undefined;
}
