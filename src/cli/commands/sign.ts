/** `clickledger sign`: click URLs that the gateway takes for genuine, to try things out or to hand to a page. */
import { Command } from 'commander';
import { readSettings } from '../../adapters/environment/settings.ts';
import { clickUrl } from '../../domain/clickUrl.ts';
import { signClick } from '../../domain/signature.ts';
import { parseUuid7 } from '../../domain/uuid7.ts';
import { CliError } from '../cliError.ts';
import { endWithClosedPipe } from '../closedPipe.ts';
import { endpoints } from '../endpoints.ts';
import { wholeNumberOption } from '../optionValues.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';
import { print } from '../terminal.ts';

const COUNT_MAX = 1_000_000;
const AD_ID_BYTES_MAX = 128;

interface SignOptions {
  readonly count: number;
  readonly impression?: string;
  readonly baseUrl?: string;
}

export function signCommand(): Command {
  return new Command('sign')
    .description('print signed click URLs of an ad, one a line')
    .argument('<ad-id>', 'the ad')
    .option(
      '--count <number>',
      'how many URLs, each of a fresh impression',
      wholeNumberOption(1, COUNT_MAX),
      1,
    )
    .option('--impression <uuid>', 'the impression, a UUIDv7 (default: a fresh one for each URL)')
    .option('--base-url <url>', 'where browsers reach the gateway (default: the running instance)')
    .action(sign);
}

function sign(adId: string, options: SignOptions): void {
  refuseWrongUse(adId, options);
  endWithClosedPipe();
  const environment = instanceEnvironment(dataDirectory());
  const [key] = readSettings(environment, ['signingKeys']).signingKeys;
  if (key === undefined) throw new CliError('CLICKLEDGER_SIGNING_KEYS holds no key');
  const baseUrl = options.baseUrl ?? endpoints(environment).httpBaseUrl;
  for (let made = 0; made < options.count; made += 1) {
    const impressionId = options.impression ?? Bun.randomUUIDv7();
    print(clickUrl(baseUrl, adId, impressionId, signClick(key, adId, impressionId)));
  }
}

function refuseWrongUse(adId: string, { count, impression, baseUrl }: SignOptions): void {
  const bytes = Buffer.byteLength(adId);
  if (bytes < 1 || bytes > AD_ID_BYTES_MAX || /\p{Cc}/u.test(adId)) {
    throw new CliError(
      `ad id ${JSON.stringify(adId)} is wrong; right are 1 to ${AD_ID_BYTES_MAX} bytes of printable text`,
    );
  }
  if (impression !== undefined && count > 1) {
    throw new CliError(
      `--impression with --count ${count}: ${count} URLs of one impression would all be the same; leave one of them out`,
    );
  }
  if (impression !== undefined && parseUuid7(impression) === undefined) {
    throw new CliError(
      `--impression ${impression} is no UUIDv7 (36 characters, such as ${Bun.randomUUIDv7()})`,
    );
  }
  if (baseUrl !== undefined && !(/^https?:\/\//.test(baseUrl) && URL.canParse(baseUrl))) {
    throw new CliError(`--base-url ${baseUrl} is no URL that starts with http:// or https://`);
  }
}
