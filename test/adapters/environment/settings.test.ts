/** Settings are read once, whole, and every mistake is told at once, by name, with what would be right (I15). */
import { describe, expect, test } from 'vitest';
import {
  readSettings,
  SETTINGS,
  type SettingName,
  SettingsError,
} from '../../../src/adapters/environment/settings.ts';

const NAMES = Object.keys(SETTINGS) as SettingName[];

/** What has no default, as `up` would set it. */
const REQUIRED: Readonly<Record<string, string>> = {
  NATS_URL: 'nats://token@127.0.0.1:4222',
  REDIS_URL: 'redis://:password@127.0.0.1:6379/0',
  DATABASE_URL: 'postgres://user:password@127.0.0.1:5432/clickledger',
  CLICKLEDGER_SIGNING_KEYS: `k1:${'0a'.repeat(16)},k2:${'ff'.repeat(32)}`,
  CLICKLEDGER_USER_KEY_SALT: '00112233445566778899aabbccddeeff',
  CLICKLEDGER_NODE: 'actors-1',
  CLICKLEDGER_S3_ACCESS_KEY: 'access-key',
  CLICKLEDGER_S3_SECRET_KEY: 'secret-key',
};

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Variables whose value no message shows. */
const SECRET: readonly SettingName[] = ['signingKeys', 'userKeySalt', 's3AccessKey', 's3SecretKey'];

/** What each variable says, what it then is, and values that are wrong with a piece of what would be right. */
const CASES: readonly {
  name: SettingName;
  good: readonly (readonly [string, unknown])[];
  bad: readonly string[];
  right: string;
}[] = [
  { name: 'dataDirectory', good: [['/srv/a b', '/srv/a b']], bad: ['\n'], right: 'a folder' },
  {
    name: 'natsUrl',
    good: [['tls://host:4222', 'tls://host:4222']],
    bad: ['localhost:4222', 'http://host', 'nats:/host'],
    right: 'nats://host:port or tls://host:port',
  },
  {
    name: 'redisUrl',
    good: [['rediss://host', 'rediss://host']],
    bad: ['host:6379', 'postgres://host', 'redis://host:port'],
    right: 'redis://host:port or rediss://host:port',
  },
  {
    name: 'databaseUrl',
    good: [['postgresql://host/db', 'postgresql://host/db']],
    bad: ['host/db', 'mysql://host/db'],
    right: 'postgres://host:port or postgresql://host:port',
  },
  {
    name: 'streamReplicas',
    good: [
      ['1', 1],
      ['5', 5],
    ],
    bad: ['0', '6', '-1', '1.5', 'all'],
    right: '1 to 5',
  },
  {
    name: 'sharesPorts',
    good: [
      ['on', true],
      ['off', false],
    ],
    bad: ['ON', 'true', '1', 'constructor'],
    right: 'on or off',
  },
  {
    name: 'host',
    good: [
      ['0.0.0.0', '0.0.0.0'],
      ['::1', '::1'],
    ],
    bad: ['a b', 'http://host', '1.2.3.4/8'],
    right: 'a network address',
  },
  ...(
    [
      'httpPort',
      'ingestPort',
      'queryPort',
      'webPort',
      'auditPort',
      'reconcilerMetricsPort',
      'queryMetricsPort',
    ] as const
  ).map((name) => ({
    name,
    good: [
      ['1', 1],
      ['65535', 65_535],
    ] as const,
    bad: ['0', '65536', '-1', '80.0', '1e3', '0x50', ' 80', 'http'],
    right: 'a whole number from 1 to 65535',
  })),
  {
    name: 'cacheRedisUrl',
    good: [
      ['off', ''],
      ['redis://:secret@cache:6379/1', 'redis://:secret@cache:6379/1'],
      ['rediss://cache', 'rediss://cache'],
    ],
    bad: ['on', 'cache:6379', 'http://cache', 'redis://'],
    right: 'off, or a URL such as redis://host:port',
  },
  {
    name: 'signingKeys',
    good: [[`a_-1:${'00'.repeat(16)}`, [{ kid: 'a_-1', secret: new Uint8Array(16) }]]],
    bad: ['k1', 'k1:', `k1:${'0'.repeat(33)}`, `k1:${'00'.repeat(15)}`, `:${'00'.repeat(16)}`],
    right: 'kid:hex,kid:hex',
  },
  {
    name: 'userKeySalt',
    good: [['FF'.repeat(16), new Uint8Array(16).fill(255)]],
    bad: ['00'.repeat(15), 'xy'.repeat(16), '0'.repeat(33)],
    right: 'at least 16 bytes in hexadecimal digits',
  },
  {
    name: 'trustedProxies',
    good: [
      ['none', []],
      ['10.0.0.7', [{ address: '10.0.0.7', prefixBits: 32 }]],
      [
        '10.0.0.0/8, 2001:db8::/32,::1',
        [
          { address: '10.0.0.0', prefixBits: 8 },
          { address: '2001:db8::', prefixBits: 32 },
          { address: '::1', prefixBits: 128 },
        ],
      ],
      ['0.0.0.0/0', [{ address: '0.0.0.0', prefixBits: 0 }]],
    ],
    bad: [
      'off',
      '10.0.0',
      '10.0.0.0/33',
      '::/129',
      '10.0.0.0/',
      '10.0.0.7,',
      'proxy.example',
      'fe80::1%eth0',
    ],
    right: 'none, or addresses and networks such as 10.0.0.7,192.168.0.0/16,2001:db8::/32',
  },
  {
    name: 'countryHeader',
    good: [
      ['off', ''],
      ['CF-IPCountry', 'CF-IPCountry'],
    ],
    bad: ['CF IPCountry', 'X-Country:', 'é'],
    right: "off, or a header's name such as CF-IPCountry",
  },
  {
    name: 'geoFile',
    good: [
      ['off', ''],
      ['/srv/countries.mmdb', '/srv/countries.mmdb'],
    ],
    bad: ['\n'],
    right: "off, or a file in MaxMind's format (.mmdb)",
  },
  {
    name: 'nodeName',
    good: [['n'.repeat(64), 'n'.repeat(64)]],
    bad: ['a b', 'n'.repeat(65), 'näme', 'a/b'],
    right: '1 to 64 letters, digits, dots, dashes or underscores',
  },
  duration('clickUrlTtlMs', '1s', 1_000, '365d', 365 * DAY, ['999ms', '366d']),
  duration('dedupHorizonMs', '1s', 1_000, '1y', 365 * DAY, ['0s', '366d']),
  duration('maxEventAgeMs', '1m', 60_000, '100y', 36_500 * DAY, ['59s', '101y']),
  duration('maxFutureSkewMs', '0ms', 0, '1h', HOUR, ['61m', '-1s']),
  duration('flushIntervalMs', '50ms', 50, '10m', 600_000, ['49ms', '11m']),
  duration('settleGraceMs', '0ms', 0, '1d', DAY, ['25h', '-1s']),
  {
    name: 'shards',
    good: [
      ['1', 1],
      ['1024', 1_024],
    ],
    bad: ['0', '1025', 'many', '1.5'],
    right: 'a whole number from 1 to 1024',
  },
  duration('streamMaxAgeMs', '1m', 60_000, '100y', 36_500 * DAY, ['59s', '101y']),
  {
    name: 'archive',
    good: [
      ['/srv/archive', '/srv/archive'],
      ['s3://bucket', 's3://bucket'],
      ['s3://my-bucket.x/clicks/1', 's3://my-bucket.x/clicks/1'],
    ],
    bad: ['\n', 's3://', 's3://Bucket', 'gs://bucket', 'https://host/bucket'],
    right: 'a folder, or s3://bucket/prefix',
  },
  {
    name: 's3Endpoint',
    good: [['http://127.0.0.1:9000', 'http://127.0.0.1:9000']],
    bad: ['127.0.0.1:9000', 's3://bucket'],
    right: 'a URL such as https://host:port or http://host:port',
  },
  {
    name: 's3Region',
    good: [['eu-central-1', 'eu-central-1']],
    bad: ['eu central'],
    right: "a region's name",
  },
  { name: 's3AccessKey', good: [['AKIA/+=', 'AKIA/+=']], bad: ['a b'], right: 'the id of a key' },
  { name: 's3SecretKey', good: [['x/+=', 'x/+=']], bad: ['a b'], right: 'the secret part of a key' },
  duration('publishTimeoutMs', '10ms', 10, '1m', 60_000, ['9ms', '61s']),
  {
    name: 'hotAdRate',
    good: [
      ['1', 1],
      ['1000000', 1_000_000],
    ],
    bad: ['0', '1000001', '2k', '2000.5', '-1'],
    right: 'a whole number from 1 to 1000000',
  },
  duration('hotAdCalmMs', '5s', 5_000, '1d', DAY, ['4999ms', '25h']),
  { name: 'spoolDirectory', good: [['/srv/spool', '/srv/spool']], bad: ['\n'], right: 'a folder' },
  {
    name: 'spoolBytesMax',
    good: [
      ['1024KiB', 2 ** 20],
      ['64MiB', 2 ** 26],
      ['2GiB', 2 ** 31],
    ],
    bad: ['0GiB', '1023KiB', '64', '64MB', '1.5GiB', '-1GiB'],
    right: 'a whole number with a unit (KiB, MiB or GiB) of at least 1MiB, such as 512MiB or 2GiB',
  },
  duration('httpTimeoutMs', '100ms', 100, '255s', 255_000, ['99ms', '256s']),
  duration('heartbeatMs', '50ms', 50, '60s', 60_000, ['49ms', '61s']),
  duration('leaseMs', '100ms', 100, '10m', 600_000, ['99ms', '601s']),
  duration('liveTimeoutMs', '10ms', 10, '1m', 60_000, ['9ms', '61s']),
  {
    name: 'reconcileIntervalMs',
    good: [
      ['off', 0],
      ['1s', 1_000],
      ['30d', 30 * DAY],
    ],
    bad: ['999ms', '31d', 'OFF', '0s', '1', 'never'],
    right: 'off, or a whole number with a unit (s, m, h or d) from 1s to 30d',
  },
  {
    name: 'logLevel',
    good: [
      ['trace', 'trace'],
      ['fatal', 'fatal'],
    ],
    bad: ['INFO', 'verbose', 'info '],
    right: 'one of trace, debug, info, warn, error, fatal',
  },
];

function duration(
  name: SettingName,
  least: string,
  leastMs: number,
  most: string,
  mostMs: number,
  outside: string[],
) {
  return {
    name,
    good: [
      [least, leastMs],
      [most, mostMs],
    ] as const,
    bad: [...outside, '10', '1.5s', '1 s', '1S', '1min', 's', '1h30m'],
    right: 'a whole number with a unit',
  };
}

function mistakes(environment: Record<string, string | undefined>, names: readonly SettingName[]): string[] {
  try {
    readSettings(environment, names);
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError);
    return (error as SettingsError).message.split('\n');
  }
  return [];
}

test('the table of cases names every setting', () => {
  expect(CASES.map(({ name }) => name).sort()).toEqual([...NAMES].sort());
});

test('every default is right, and all of them fit each other', () => {
  const settings = readSettings(REQUIRED, NAMES);
  expect(settings).toMatchObject({
    dataDirectory: '.data',
    hotAdRate: 2_000,
    hotAdCalmMs: 600_000,
    spoolDirectory: '.data/spool',
    spoolBytesMax: 2 ** 31,
    host: '127.0.0.1',
    httpPort: 8_080,
    ingestPort: 50_051,
    sharesPorts: false,
    queryPort: 50_052,
    webPort: 8_081,
    clickUrlTtlMs: HOUR,
    dedupHorizonMs: DAY,
    maxEventAgeMs: 3_650 * DAY,
    maxFutureSkewMs: 300_000,
    flushIntervalMs: 10_000,
    settleGraceMs: 120_000,
    shards: 16,
    streamReplicas: 1,
    streamMaxAgeMs: 400 * DAY,
    archive: '.data/archive',
    s3Region: 'us-east-1',
    publishTimeoutMs: 2_000,
    httpTimeoutMs: 10_000,
    heartbeatMs: 1_000,
    leaseMs: 3_000,
    liveTimeoutMs: 400,
    logLevel: 'info',
    nodeName: 'actors-1',
  });
  expect(settings.signingKeys.map(({ kid, secret }) => [kid, secret.length])).toEqual([
    ['k1', 16],
    ['k2', 32],
  ]);
});

describe.each(CASES)('$name', ({ name, good, bad, right }) => {
  const { variable, fallback } = SETTINGS[name];

  test('is what its variable says, at both ends of what is allowed', () => {
    for (const [text, value] of good) {
      expect(readSettings({ [variable]: text }, [name])[name]).toEqual(value);
    }
  });

  test('is refused with the name of the variable, the value and what would be right', () => {
    for (const text of bad) {
      const [line = '', ...more] = mistakes({ [variable]: text }, [name]);
      expect(more).toEqual([]);
      const shown = SECRET.includes(name) ? '(not shown)' : JSON.stringify(text);
      expect(line).toContain(`${variable}=${shown} is wrong`);
      expect(line).toContain(right);
    }
  });

  test('an empty or absent variable is one that is not set', () => {
    for (const environment of [{}, { [variable]: undefined }, { [variable]: '' }]) {
      if (fallback === undefined)
        expect(mistakes(environment, [name])).toEqual([expect.stringContaining(`${variable} is not set`)]);
      else expect(readSettings(environment, [name])).toEqual(readSettings({ [variable]: fallback }, [name]));
    }
  });
});

describe('a message shows no secret', () => {
  test('of keys and salts it says which is wrong and why', () => {
    const secret = 'c0ffee'.repeat(5);
    expect(
      mistakes({ CLICKLEDGER_SIGNING_KEYS: `old:${'ab'.repeat(16)},new:${secret}` }, ['signingKeys']),
    ).toEqual([
      'CLICKLEDGER_SIGNING_KEYS=(not shown) is wrong: it must be kid:hex,kid:hex (the key new has 15 bytes, at least 16 are needed)',
    ]);
    expect(mistakes({ CLICKLEDGER_USER_KEY_SALT: secret }, ['userKeySalt'])).toEqual([
      'CLICKLEDGER_USER_KEY_SALT=(not shown) is wrong: it must be at least 16 bytes in hexadecimal digits',
    ]);
  });

  test.each([
    ['natsUrl', 'http://s3cret@host:4222', 'http://(not shown)@host:4222'],
    ['natsUrl', 's3cret@host:4222', '(not shown)@host:4222'],
    ['redisUrl', 'redis://:s3cret@host:port/0', 'redis://(not shown)@host:port/0'],
    ['databaseUrl', 'mysql://me:s3cret@s3cret/@host/db', 'mysql://(not shown)@host/db'],
    ['databaseUrl', 'mysql://host/db?password=s3cret&a=b', 'mysql://host/db?password=(not shown)&a=b'],
  ] as const)('of %s %s it shows %s', (name, given, shown) => {
    const { variable } = SETTINGS[name];
    const [line = ''] = mistakes({ [variable]: given }, [name]);
    expect(line).toContain(`${variable}=${JSON.stringify(shown)} is wrong`);
    expect(line).not.toContain('s3cret');
  });
});

test('that SHARDS must stay set once it was raised is said where people look it up', () => {
  expect(SETTINGS.shards.meaning).toBe(
    'How many streams the clicks are spread over. May be raised later, never lowered: keep it set from then on.',
  );
});

describe('relations', () => {
  test.each([
    ['DEDUP_HORIZON', '1h', { CLICK_URL_TTL: '1h', MAX_FUTURE_SKEW: '1ms' }],
    ['STREAM_MAX_AGE', '47h', { DEDUP_HORIZON: '24h' }],
    ['LEASE', '2s', { HEARTBEAT: '1s' }],
    ['PUBLISH_TIMEOUT', '2501ms', { HTTP_TIMEOUT: '10s' }],
    ['HOT_AD_CALM', '7s', { PUBLISH_TIMEOUT: '2s' }],
  ])('%s=%s against %o is told with all values', (variable, value, others) => {
    const environment = { ...REQUIRED, [variable]: value, ...others };
    const [line = '', ...more] = mistakes(environment, NAMES);
    expect(more).toEqual([]);
    for (const [name, given] of Object.entries({ [variable]: value, ...others })) {
      expect(line).toContain(`${name}=${given}`);
    }
  });

  test.each([
    ['DEDUP_HORIZON', '65m', { CLICK_URL_TTL: '1h', MAX_FUTURE_SKEW: '5m' }],
    ['STREAM_MAX_AGE', '48h', { DEDUP_HORIZON: '24h' }],
    ['LEASE', '2001ms', { HEARTBEAT: '1s' }],
    ['PUBLISH_TIMEOUT', '2500ms', { HTTP_TIMEOUT: '10s' }],
    ['HOT_AD_CALM', '8s', { PUBLISH_TIMEOUT: '2s' }],
  ])('%s=%s against %o just holds', (variable, value, others) => {
    expect(mistakes({ ...REQUIRED, [variable]: value, ...others }, NAMES)).toEqual([]);
  });

  test('name a value that nobody set as it is by default', () => {
    expect(mistakes({ LEASE: '1500ms' }, ['leaseMs', 'heartbeatMs'])).toEqual([
      expect.stringMatching(/LEASE=1500ms, HEARTBEAT=1s/),
    ]);
  });

  test('are no matter of a process that uses only one side, or whose other side is wrong anyway', () => {
    expect(mistakes({ LEASE: '100ms' }, ['leaseMs'])).toEqual([]);
    expect(mistakes({ LEASE: '100ms', HEARTBEAT: 'often' }, ['leaseMs', 'heartbeatMs'])).toEqual([
      expect.stringContaining('HEARTBEAT="often"'),
    ]);
  });
});

test('all mistakes are told at once: wrong, missing and contradictory values', () => {
  const lines = mistakes({ SHARDS: 'many', LOG_LEVEL: 'loud', LEASE: '1s', HEARTBEAT: '1s', NATS_URL: '' }, [
    'shards',
    'logLevel',
    'natsUrl',
    'redisUrl',
    'leaseMs',
    'heartbeatMs',
  ]);
  expect(lines).toHaveLength(5);
  for (const piece of ['SHARDS="many"', 'LOG_LEVEL="loud"', 'NATS_URL is', 'REDIS_URL is', 'LEASE=1s']) {
    expect(lines.filter((line) => line.includes(piece))).toHaveLength(1);
  }
});

test('only what a process names is read: wrong variables of others are not its mistake', () => {
  expect(readSettings({ SHARDS: 'many', LOG_LEVEL: 'debug' }, ['logLevel'])).toEqual({ logLevel: 'debug' });
});

test('the result cannot be changed, and does not change with the environment', () => {
  const environment: Record<string, string> = { SHARDS: '4' };
  const settings = readSettings(environment, ['shards']);
  environment['SHARDS'] = '5';
  expect(settings.shards).toBe(4);
  expect(Object.isFrozen(settings)).toBe(true);
  expect(() => Object.assign(settings, { shards: 6 })).toThrow();
});
