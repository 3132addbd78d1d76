/** Signed click URLs for a measurement, made before its clock runs. */
import { readSettings } from '../../adapters/environment/settings.ts';
import { clickUrl } from '../../domain/clickUrl.ts';
import { signClick } from '../../domain/signature.ts';
import { CliError } from '../cliError.ts';
import type { Environment } from './benchInstallation.ts';

/** Paths with their queries, each of another impression, of now. */
export function signedPaths(environment: Environment, count: number, nextAd: () => string): string[] {
  const [key] = readSettings(environment, ['signingKeys']).signingKeys;
  if (key === undefined) throw new CliError('CLICKLEDGER_SIGNING_KEYS holds no key');
  return Array.from({ length: count }, () => {
    const adId = nextAd();
    const impressionId = Bun.randomUUIDv7();
    return clickUrl('', adId, impressionId, signClick(key, adId, impressionId));
  });
}
