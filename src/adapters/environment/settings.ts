/**
 * Every setting of clickledger: its variable, its default and what it means, in one table. README shows the
 * same table and a test compares the two.
 *
 * Each process names the settings that it uses and gets them once, as one frozen object (`readSettings`).
 * A wrong value names the variable, the value and what would be right; related values are checked against
 * each other (I15). Messages go to terminals and logs: they show no key, salt or password.
 */
import * as z from 'zod';
import { formatDuration, parseDuration } from '../../domain/duration.ts';
import { parseSigningKeys } from '../../domain/signingKey.ts';
import { parseNetworks } from './networks.ts';

interface Setting<T> {
  readonly variable: string;
  /** What counts where the variable is not set; undefined: it must be set (`up` sets it for its processes). */
  readonly fallback: string | undefined;
  readonly meaning: string;
  readonly schema: z.ZodType<T, string>;
  /** A wrong value as a message may show it. */
  readonly shown: (raw: string) => string;
}

function setting<T>(
  variable: string,
  fallback: string | undefined,
  schema: z.ZodType<T, string>,
  meaning: string,
  shown: (raw: string) => string = JSON.stringify,
): Setting<T> {
  return { variable, fallback, meaning, schema, shown };
}

const NOT_SHOWN = '(not shown)';
const hidden = () => NOT_SHOWN;

/** A URL, also one that is none, without what may be its password: all before the last `@`, and `password=`. */
function withoutPassword(raw: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(raw)?.[0] ?? '';
  const at = raw.lastIndexOf('@');
  const url = at === -1 ? raw : `${scheme}${NOT_SHOWN}${raw.slice(at)}`;
  return JSON.stringify(url.replaceAll(/(password=)[^&#]*/gi, `$1${NOT_SHOWN}`));
}

function checked<T>(parse: (text: string) => T | undefined, right: string): z.ZodType<T, string> {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: right });
    return z.NEVER;
  });
}

function wholeNumber(min: number, max: number): z.ZodType<number, string> {
  return checked((text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : undefined;
  }, `a whole number from ${min} to ${max}`);
}

function duration(minMs: number, maxMs: number): z.ZodType<number, string> {
  return checked(
    (text) => {
      const ms = parseDuration(text);
      return ms !== undefined && ms >= minMs && ms <= maxMs ? ms : undefined;
    },
    `a whole number with a unit (ms, s, m, h, d or y) from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as 10s or 24h`,
  );
}

const BYTE_UNITS: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

function byteCount(minBytes: number): z.ZodType<number, string> {
  return checked(
    (text) => {
      const [, amount, unit = ''] = /^(\d{1,6})(KiB|MiB|GiB)$/.exec(text) ?? [];
      const bytes = Number(amount) * (BYTE_UNITS[unit] ?? Number.NaN);
      return bytes >= minBytes ? bytes : undefined;
    },
    `a whole number with a unit (KiB, MiB or GiB) of at least ${minBytes / 2 ** 20}MiB, such as 512MiB or 2GiB`,
  );
}

function url(...schemes: string[]): z.ZodType<string, string> {
  return checked(
    (text) =>
      schemes.some((scheme) => text.startsWith(`${scheme}://`)) && URL.parse(text)?.host ? text : undefined,
    `a URL such as ${schemes.map((scheme) => `${scheme}://host:port`).join(' or ')}`,
  );
}

function redisUrl(text: string): string | undefined {
  return /^rediss?:\/\//.test(text) && URL.parse(text)?.host ? text : undefined;
}

function text(pattern: RegExp, right: string): z.ZodType<string, string> {
  return checked((value) => (pattern.test(value) ? value : undefined), right);
}

/** Empty: off. */
function offOr(pattern: RegExp, right: string): z.ZodType<string, string> {
  return checked((value) => (value === 'off' ? '' : pattern.test(value) ? value : undefined), right);
}

const port = () => wholeNumber(1, 65_535);
const signingKeys = z.string().transform((value, context) => {
  const parsed = parseSigningKeys(value);
  if (parsed.kind === 'keys') return parsed.keys;
  context.addIssue({ code: 'custom', message: `kid:hex,kid:hex (${parsed.why})` });
  return z.NEVER;
});
const hexBytes = (min: number) =>
  checked(
    (value) =>
      /^([0-9a-fA-F]{2})+$/.test(value) && value.length >= min * 2 ? Uint8Array.fromHex(value) : undefined,
    `at least ${min} bytes in hexadecimal digits`,
  );

const INTERVAL_RIGHT = 'a whole number with a unit (s, m, h or d) from 1s to 30d, such as 30m or 1h';

function intervalMs(text: string): number | undefined {
  const ms = parseDuration(text);
  return ms !== undefined && ms >= SECOND_MS && ms <= 30 * DAY_MS ? ms : undefined;
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

export const SETTINGS = {
  dataDirectory: setting(
    'CLICKLEDGER_DATA_DIR',
    '.data',
    text(/./, 'a folder'),
    'Where `up` keeps the data of the servers it starts, its logs and its keys.',
  ),
  natsUrl: setting(
    'NATS_URL',
    undefined,
    url('nats', 'tls'),
    'The NATS server with JetStream (2.10 or newer). Given: `up` uses it and starts none.',
    withoutPassword,
  ),
  redisUrl: setting(
    'REDIS_URL',
    undefined,
    url('redis', 'rediss'),
    'The Redis server (7 or newer). Given: `up` uses it and starts none.',
    withoutPassword,
  ),
  databaseUrl: setting(
    'DATABASE_URL',
    undefined,
    url('postgres', 'postgresql'),
    'The PostgreSQL database (15 or newer). Given: `up` uses it and starts none.',
    withoutPassword,
  ),
  host: setting(
    'CLICKLEDGER_HOST',
    '127.0.0.1',
    text(/^[0-9A-Za-z.:-]+$/, 'a network address of this machine'),
    'The address on which the processes listen.',
  ),
  httpPort: setting('CLICKLEDGER_HTTP_PORT', '8080', port(), 'Where the gateway answers click URLs.'),
  ingestPort: setting(
    'CLICKLEDGER_INGEST_PORT',
    '50051',
    port(),
    'Where the gateway takes clicks and ads over gRPC.',
  ),
  sharesPorts: setting(
    'CLICKLEDGER_SHARE_PORTS',
    'off',
    z.stringbool({ truthy: ['on'], falsy: ['off'], case: 'sensitive', error: 'on or off' }),
    'Whether several gateways of this machine listen on the same two ports. `up` sets it where it starts more than one.',
  ),
  queryPort: setting(
    'CLICKLEDGER_QUERY_PORT',
    '50052',
    port(),
    'Where the query service answers over gRPC, audits too.',
  ),
  webPort: setting(
    'CLICKLEDGER_WEB_PORT',
    '8081',
    port(),
    'Where the query service answers over HTTP: the live page and its REST interface.',
  ),
  auditPort: setting(
    'CLICKLEDGER_AUDIT_PORT',
    '50053',
    port(),
    'Where the reconciler answers the query service of the same machine over gRPC.',
  ),
  reconcilerMetricsPort: setting(
    'CLICKLEDGER_RECONCILER_METRICS_PORT',
    '50054',
    port(),
    "Where the reconciler's metrics are: `GET /metrics`, for Prometheus.",
  ),
  queryMetricsPort: setting(
    'CLICKLEDGER_QUERY_METRICS_PORT',
    '50055',
    port(),
    "Where the query service's metrics are: `GET /metrics`, for Prometheus.",
  ),
  cacheRedisUrl: setting(
    'CLICKLEDGER_CACHE_REDIS_URL',
    'off',
    checked(
      (text) => (text === 'off' ? '' : redisUrl(text)),
      'off, or a URL such as redis://host:port or rediss://host:port',
    ),
    'Another Redis, in which query services share rows of settled minutes: one with `maxmemory` and an evicting policy, never that of `REDIS_URL`. Or `off`: each remembers in its own memory only.',
    withoutPassword,
  ),
  signingKeys: setting(
    'CLICKLEDGER_SIGNING_KEYS',
    undefined,
    signingKeys,
    'Keys of click URLs, `kid:hex,kid:hex`: the first signs, all verify. Not given: `up` makes one and keeps it in the data folder.',
    hidden,
  ),
  userKeySalt: setting(
    'CLICKLEDGER_USER_KEY_SALT',
    undefined,
    hexBytes(16),
    'The secret of the salts of the hashes that stand for people, one salt a month, in hexadecimal digits; with another one they start anew. Not given: `up` makes one and keeps it in the data folder.',
    hidden,
  ),
  trustedProxies: setting(
    'CLICKLEDGER_TRUSTED_PROXIES',
    'none',
    checked(
      (text) => (text === 'none' ? [] : parseNetworks(text)),
      'none, or addresses and networks such as 10.0.0.7,192.168.0.0/16,2001:db8::/32',
    ),
    'The proxies before the gateways. Only on their connections `X-Forwarded-For` says who clicked, and a header the country.',
  ),
  countryHeader: setting(
    'CLICKLEDGER_COUNTRY_HEADER',
    'off',
    offOr(/^[A-Za-z0-9-]+$/, "off, or a header's name such as CF-IPCountry"),
    'The header in which trusted proxies say the country of who clicked (ISO 3166-1, two letters); or `off`.',
  ),
  geoFile: setting(
    'CLICKLEDGER_GEO_FILE',
    'off',
    offOr(/./, "off, or a file in MaxMind's format (.mmdb)"),
    "A file in MaxMind's format (.mmdb) that says the country of an address, for clicks of which nobody said it; or `off`. Read again when it changes.",
  ),
  nodeName: setting(
    'CLICKLEDGER_NODE',
    undefined,
    text(/^[A-Za-z0-9_.-]{1,64}$/, '1 to 64 letters, digits, dots, dashes or underscores'),
    'The name of an actors process: one name, one running process. `up` gives `actors-1` and so on; where several machines run `up`, give each another name.',
  ),
  clickUrlTtlMs: setting(
    'CLICK_URL_TTL',
    '1h',
    duration(SECOND_MS, 365 * DAY_MS),
    'How long a click URL is good, counted from its impression; an older one still redirects and is counted as defective.',
  ),
  dedupHorizonMs: setting(
    'DEDUP_HORIZON',
    '24h',
    duration(SECOND_MS, 365 * DAY_MS),
    'How long a click or impression is remembered. Fixed when an installation is made.',
  ),
  maxEventAgeMs: setting(
    'MAX_EVENT_AGE',
    '10y',
    duration(MINUTE_MS, 100 * 365 * DAY_MS),
    'Clicks older than this when they are received are counted as defective. Fixed when an installation is made.',
  ),
  maxFutureSkewMs: setting(
    'MAX_FUTURE_SKEW',
    '5m',
    duration(0, HOUR_MS),
    "Clicks further ahead of the gateway's clock than this are counted as defective. Fixed when an installation is made.",
  ),
  flushIntervalMs: setting(
    'FLUSH_INTERVAL',
    '10s',
    duration(50, 10 * MINUTE_MS),
    'How often an actor writes its counts to PostgreSQL.',
  ),
  settleGraceMs: setting(
    'SETTLE_GRACE',
    '2m',
    duration(0, DAY_MS),
    'How long after a minute all shards must have counted before it can be settled.',
  ),
  shards: setting(
    'SHARDS',
    '16',
    wholeNumber(1, 1024),
    'How many streams the clicks are spread over. May be raised later, never lowered: keep it set from then on.',
  ),
  streamReplicas: setting(
    'STREAM_REPLICAS',
    '1',
    wholeNumber(1, 5),
    'On how many servers of a NATS cluster each stream is. May be raised later; `migrate` never lowers it.',
  ),
  streamMaxAgeMs: setting(
    'STREAM_MAX_AGE',
    '400d',
    duration(MINUTE_MS, 100 * 365 * DAY_MS),
    'How long the streams keep clicks at least; older ones go when they are archived and counted.',
  ),
  archive: setting(
    'CLICKLEDGER_ARCHIVE',
    '.data/archive',
    text(/^(s3:\/\/[a-z0-9][a-z0-9.-]+(\/.*)?|(?![a-z0-9]+:\/\/).+)$/, 'a folder, or s3://bucket/prefix'),
    'Where hours of the streams that are over are kept: a folder, or `s3://bucket/prefix`. `up` gives `archive` in the data folder.',
  ),
  s3Endpoint: setting(
    'CLICKLEDGER_S3_ENDPOINT',
    'https://s3.amazonaws.com',
    url('https', 'http'),
    'The S3-compatible service of an archive in a bucket.',
    withoutPassword,
  ),
  s3Region: setting(
    'CLICKLEDGER_S3_REGION',
    'us-east-1',
    text(/^[a-z0-9-]+$/, "a region's name, such as us-east-1"),
    'The region of the bucket.',
  ),
  s3AccessKey: setting(
    'CLICKLEDGER_S3_ACCESS_KEY',
    undefined,
    text(/^\S+$/, 'the id of a key'),
    'The key with which the bucket is written and read. Needed for a bucket only.',
    hidden,
  ),
  s3SecretKey: setting(
    'CLICKLEDGER_S3_SECRET_KEY',
    undefined,
    text(/^\S+$/, 'the secret part of a key'),
    'The secret part of that key. Needed for a bucket only.',
    hidden,
  ),
  publishTimeoutMs: setting(
    'PUBLISH_TIMEOUT',
    '2s',
    duration(10, MINUTE_MS),
    'How long the gateway waits until JetStream has confirmed a batch of clicks; then they go to the spool.',
  ),
  hotAdRate: setting(
    'HOT_AD_RATE',
    '2000',
    wholeNumber(1, 1_000_000),
    'How many clicks a second of one ad a shard should bear. An ad that gets more is spread over twice as many shards, as often as needed.',
  ),
  hotAdCalmMs: setting(
    'HOT_AD_CALM',
    '10m',
    duration(5 * SECOND_MS, DAY_MS),
    'For how long an ad that was spread must be calm before it is drawn together again.',
  ),
  spoolDirectory: setting(
    'CLICKLEDGER_SPOOL_DIR',
    '.data/spool',
    text(/./, 'a folder'),
    'Where the gateways of one machine keep clicks that JetStream does not confirm in time: on a disk that outlives them. `up` gives `spool` in the data folder.',
  ),
  spoolBytesMax: setting(
    'SPOOL_BYTES_MAX',
    '2GiB',
    byteCount(2 ** 20),
    'How much the spool may hold; beyond, clicks are refused until it drains.',
  ),
  httpTimeoutMs: setting(
    'HTTP_TIMEOUT',
    '10s',
    duration(100, 255 * SECOND_MS),
    'How long an HTTP connection may be idle before the gateway closes it.',
  ),
  heartbeatMs: setting(
    'HEARTBEAT',
    '1s',
    duration(50, MINUTE_MS),
    'How often an actors process renews its hold on its shards.',
  ),
  leaseMs: setting(
    'LEASE',
    '3s',
    duration(100, 10 * MINUTE_MS),
    'After how long without a heartbeat another actors process may take a shard over.',
  ),
  liveTimeoutMs: setting(
    'LIVE_TIMEOUT',
    '400ms',
    duration(10, MINUTE_MS),
    'How long the query service waits for counts not yet flushed; later the answer is marked partial.',
  ),
  reconcileIntervalMs: setting(
    'RECONCILE_INTERVAL',
    '1h',
    checked((text) => (text === 'off' ? 0 : intervalMs(text)), `off, or ${INTERVAL_RIGHT}`),
    'How often the reconciler compares counts and streams by itself, and settles what is equal; or `off`.',
  ),
  logLevel: setting(
    'LOG_LEVEL',
    'info',
    z.enum(LOG_LEVELS, { error: `one of ${LOG_LEVELS.join(', ')}` }) as z.ZodType<
      (typeof LOG_LEVELS)[number],
      string
    >,
    'The least important log lines to write.',
  ),
} as const;

export type SettingName = keyof typeof SETTINGS;
type Value<N extends SettingName> = (typeof SETTINGS)[N] extends Setting<infer T> ? T : never;
export type Settings<N extends SettingName> = { readonly [K in N]: Value<K> };

/** Relations that must hold between settings (I15). Checked where a process uses both sides. */
const RELATIONS: readonly {
  readonly names: readonly SettingName[];
  readonly holds: (...ms: number[]) => boolean;
  readonly rule: string;
}[] = [
  {
    names: ['dedupHorizonMs', 'clickUrlTtlMs', 'maxFutureSkewMs'],
    holds: (horizon = 0, ttl = 0, skew = 0) => horizon >= ttl + skew,
    rule: 'DEDUP_HORIZON must be at least CLICK_URL_TTL + MAX_FUTURE_SKEW, or a good URL could outlive the memory of its first click',
  },
  {
    names: ['streamMaxAgeMs', 'dedupHorizonMs'],
    holds: (maxAge = 0, horizon = 0) => maxAge >= 2 * horizon,
    rule: 'STREAM_MAX_AGE must be at least twice DEDUP_HORIZON, or the dedup memory could not be rebuilt from the streams',
  },
  {
    names: ['leaseMs', 'heartbeatMs'],
    holds: (lease = 0, heartbeat = 0) => lease > 2 * heartbeat,
    rule: 'LEASE must be more than twice HEARTBEAT, or one late heartbeat would cost a shard its owner',
  },
  {
    names: ['hotAdCalmMs', 'publishTimeoutMs'],
    holds: (calm = 0, publish = 0) => calm >= 4 * publish,
    rule: 'HOT_AD_CALM must be at least four times PUBLISH_TIMEOUT: ad servers send nothing new while they wait for an answer, and that is no calm',
  },
  {
    names: ['publishTimeoutMs', 'httpTimeoutMs'],
    holds: (publish = 0, http = 0) => 4 * publish <= http,
    rule: 'HTTP_TIMEOUT must be at least four times PUBLISH_TIMEOUT: a click may wait for the routing table, for the batch before its own, for its own and for the disk',
  },
];

/** What is wrong with the environment: a line for each mistake. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}

type Environment = Readonly<Record<string, string | undefined>>;

function rawValue(environment: Environment, { variable, fallback }: Setting<unknown>): string | undefined {
  const given = environment[variable];
  return given === undefined || given === '' ? fallback : given;
}

/**
 * The settings `names` out of `environment`.
 * @throws SettingsError that lists every wrong, missing or contradictory value.
 */
export function readSettings<N extends SettingName>(
  environment: Environment,
  names: readonly N[],
): Settings<N> {
  const values: Partial<Record<SettingName, unknown>> = {};
  const mistakes: string[] = [];
  for (const name of names) {
    const entry: Setting<unknown> = SETTINGS[name];
    const raw = rawValue(environment, entry);
    if (raw === undefined) {
      mistakes.push(`${entry.variable} is not set. ${entry.meaning}`);
      continue;
    }
    const parsed = entry.schema.safeParse(raw);
    if (parsed.success) values[name] = parsed.data;
    else
      mistakes.push(
        `${entry.variable}=${entry.shown(raw)} is wrong: it must be ${parsed.error.issues[0]?.message}`,
      );
  }
  mistakes.push(...brokenRelations(environment, values));
  if (mistakes.length > 0) throw new SettingsError(mistakes.join('\n'));
  return Object.freeze(values) as Settings<N>;
}

function brokenRelations(environment: Environment, values: Partial<Record<SettingName, unknown>>): string[] {
  return RELATIONS.filter(({ names, holds }) => {
    const sides = names.map((name) => values[name]);
    return sides.every((side) => typeof side === 'number') && !holds(...sides);
  }).map(({ names, rule }) => {
    const given = names.map((name) => `${SETTINGS[name].variable}=${rawValue(environment, SETTINGS[name])}`);
    return `${rule}; they are ${given.join(', ')}`;
  });
}
