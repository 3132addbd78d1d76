/**
 * Floors of part a, a process of their own: a Bun.serve that redirects. `bare` does nothing else; `signed` does all
 * that the gateway does with a click URL, by the gateway's own code, but for making the click durable, and knows the
 * ads by heart.
 *
 * Its port stands in its first line of output.
 */
import { readSettings } from '../../../adapters/environment/settings.ts';
import { UserAgents } from '../../../adapters/useragent/userAgents.ts';
import { MonthlySalt } from '../../../domain/monthlySalt.ts';
import { NOWHERE } from '../../../domain/place.ts';
import { AdDirectory } from '../../../gateway/adDirectory.ts';
import { ClickHttp } from '../../../gateway/clickHttp.ts';
import { ClickOrigin } from '../../../gateway/clickOrigin.ts';

const LOCATION = 'https://shop.example/landing?campaign=bench';
const HEADERS = {
  Location: LOCATION,
  'Cache-Control': 'no-store',
  'Referrer-Policy': 'strict-origin-when-cross-origin',
};

function signedRedirect(): (request: Request, address: string) => Promise<Response> {
  const settings = readSettings(process.env, ['signingKeys', 'userKeySalt', 'clickUrlTtlMs']);
  const store = {
    read: async (adIds: readonly string[]) =>
      adIds.map((adId) => ({
        adId,
        campaignId: 'bench',
        advertiserId: 'bench',
        destinationUrl: LOCATION,
        status: 'ACTIVE' as const,
      })),
  };
  const userAgents = new UserAgents();
  const clickHttp = new ClickHttp({
    ...settings,
    userKeySalt: new MonthlySalt(settings.userKeySalt),
    origin: new ClickOrigin([], ''),
    finder: { ofUserAgent: (text) => userAgents.read(text), ofAddress: () => NOWHERE },
    ads: new AdDirectory(store, Date.now, { error: () => undefined }),
    clickLog: { append: async () => [] },
    clock: Date.now,
    newClickId: (timeMs) => Bun.randomUUIDv7('buffer', timeMs),
  });
  return (request, address) => clickHttp.handle(request, address);
}

const handle = process.argv[2] === 'signed' ? signedRedirect() : undefined;
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  routes: {
    '/click':
      handle === undefined
        ? () => new Response(null, { status: 302, headers: HEADERS })
        : (request, own) => handle(request, own.requestIP(request)?.address ?? ''),
  },
});
process.stdout.write(`${server.port}\n`);
