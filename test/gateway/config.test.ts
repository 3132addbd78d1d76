/** What the gateway's settings must fit together in. */
import { expect, it } from 'vitest';
import { readConfig } from '../../src/gateway/config.ts';

const ENVIRONMENT = {
  NATS_URL: 'nats://127.0.0.1:4222',
  DATABASE_URL: 'postgres://127.0.0.1:5432/clickledger',
  CLICKLEDGER_SIGNING_KEYS: `k1:${'0a'.repeat(16)}`,
  CLICKLEDGER_USER_KEY_SALT: '00112233445566778899aabbccddeeff',
};

it('a header of the country needs proxies that are trusted with it', () => {
  const CLICKLEDGER_COUNTRY_HEADER = 'CF-IPCountry';
  expect(() => readConfig({ ...ENVIRONMENT, CLICKLEDGER_COUNTRY_HEADER })).toThrow(
    'CLICKLEDGER_COUNTRY_HEADER=CF-IPCountry needs CLICKLEDGER_TRUSTED_PROXIES, which is none: anybody could send that header',
  );
  const CLICKLEDGER_TRUSTED_PROXIES = '10.0.0.0/8';
  const config = readConfig({ ...ENVIRONMENT, CLICKLEDGER_COUNTRY_HEADER, CLICKLEDGER_TRUSTED_PROXIES });
  expect(config.countryHeader).toBe('CF-IPCountry');
  expect(readConfig(ENVIRONMENT)).toMatchObject({ countryHeader: '', trustedProxies: [], geoFile: '' });
});
