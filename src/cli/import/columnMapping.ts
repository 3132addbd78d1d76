/**
 * Which column of a file fills which field of a click: what `--map` says, and by name for the rest. Pure; every
 * mistake is a CliError that names what was asked for and what there is.
 */
import { CliError } from '../cliError.ts';
import { printable } from '../format.ts';

/** Fields of proto Click that hold text. */
export const TEXT_FIELDS = [
  'click_id',
  'impression_id',
  'ad_id',
  'user_id',
  'ip',
  'user_agent',
  'referrer',
  'country',
  'region',
  'device_type',
  'os',
  'browser',
  'publisher_id',
  'placement_id',
  'creative_id',
] as const;
export type TextField = (typeof TEXT_FIELDS)[number];

const PLAIN_FIELDS = [...TEXT_FIELDS, 'event_time', 'test'] as const;
export type PlainField = (typeof PLAIN_FIELDS)[number];

/** `attributes.KEY` fills one pair of the click's attributes. */
const ATTRIBUTE = /^attributes\.(.+)$/;
const FIELD_LIST = `${PLAIN_FIELDS.join(', ')} and attributes.<key>`;

/** What proto calls it is understood too. */
const ALIASES: Readonly<Record<string, PlainField>> = { event_time_ms: 'event_time' };

/** Where the values of a row's click stand: indexes of columns. */
export interface ColumnMapping {
  readonly columns: number;
  readonly fields: Readonly<Partial<Record<PlainField, number>>>;
  readonly attributes: readonly { readonly key: string; readonly column: number }[];
  /** Columns that fill nothing, for people who wonder. */
  readonly unused: readonly string[];
}

/** `--map` texts such as `ad_id=app,publisher_id=channel`, as pairs of field and column. */
export function parseMap(texts: readonly string[]): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const pair of texts.flatMap((text) => text.split(',')).filter((text) => text.trim() !== '')) {
    const equals = pair.indexOf('=');
    const field = canonicalField(pair.slice(0, Math.max(0, equals)).trim());
    const column = pair.slice(equals + 1).trim();
    if (equals < 1 || column === '') {
      throw new CliError(`--map ${pair}: right is field=column,field=column, such as ad_id=app,os=platform`);
    }
    if (!isField(field))
      throw new CliError(`--map ${pair}: there is no field ${field}; fields are ${FIELD_LIST}`);
    if (pairs.has(field))
      throw new CliError(`--map ${pair}: the field ${field} has a column already: ${pairs.get(field)}`);
    pairs.set(field, column);
  }
  return pairs;
}

/** The mapping of a file with these columns. */
export function mapColumns(header: readonly string[], map: ReadonlyMap<string, string>): ColumnMapping {
  const fields: Partial<Record<PlainField, number>> = {};
  const attributes: { key: string; column: number }[] = [];
  const sources = new Map(map);
  for (const name of header) {
    const field = canonicalField(name);
    if (isField(field) && !sources.has(field)) sources.set(field, name);
  }
  for (const [field, name] of sources) {
    const column = columnIndex(header, field, name);
    const key = ATTRIBUTE.exec(field)?.[1];
    if (key !== undefined) attributes.push({ key, column });
    else fields[field as PlainField] = column;
  }
  requireFields(header, fields);
  const used = new Set([...Object.values(fields), ...attributes.map(({ column }) => column)]);
  return {
    columns: header.length,
    fields,
    attributes,
    unused: header.filter((_, index) => !used.has(index)),
  };
}

/** Names of columns for people: what a file says never reaches a terminal as it stands. */
export function columnList(names: readonly string[]): string {
  return names.map(printable).join(', ');
}

function canonicalField(name: string): string {
  return ALIASES[name] ?? name;
}

function isField(name: string): boolean {
  return (PLAIN_FIELDS as readonly string[]).includes(name) || ATTRIBUTE.test(name);
}

function columnIndex(header: readonly string[], field: string, name: string): number {
  const index = header.indexOf(name);
  if (index === -1) {
    throw new CliError(
      `--map ${field}=${printable(name)}: the file has no column ${printable(name)}; its columns are ${columnList(header)}`,
    );
  }
  if (header.indexOf(name, index + 1) !== -1) {
    throw new CliError(
      `the file has two columns ${printable(name)}, so it is not clear which one is ${printable(field)}`,
    );
  }
  return index;
}

function requireFields(
  header: readonly string[],
  fields: Readonly<Partial<Record<PlainField, number>>>,
): void {
  const columns = `the file's columns are ${columnList(header)}`;
  if (fields.ad_id === undefined) {
    throw new CliError(`no column is the ad: add --map ad_id=<column>; ${columns}`);
  }
  if (fields.event_time === undefined && fields.click_id === undefined) {
    throw new CliError(
      `no column says when a click happened: add --map event_time=<column>, or --map click_id=<column> with UUIDv7s; ${columns}`,
    );
  }
}
