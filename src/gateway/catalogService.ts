/** AdCatalogService: registers the ads that clicks may name. */
import { status } from '@grpc/grpc-js';
import { answer, callError, invalidArgument } from '../contract/callErrors.ts';
import type { Ad__Output as AdMessage } from '../contract/generated/clickledger/v1/Ad.ts';
import type { AdCatalogServiceHandlers } from '../contract/generated/clickledger/v1/AdCatalogService.ts';
import type { Ad } from '../domain/ad.ts';
import {
  AD_ID_BYTES_MAX,
  ADS_A_PAGE_DEFAULT,
  ADS_A_PAGE_MAX,
  ADS_A_REQUEST_MAX,
  cut,
  DESTINATION_URL_BYTES_MAX,
  fits,
  isId,
} from '../domain/limits.ts';
import type { AdDirectory } from './adDirectory.ts';
import { explainError } from './callErrors.ts';
import type { AdStore, Log } from './ports.ts';

const AD_ID_RULE = `1 to ${AD_ID_BYTES_MAX} bytes without control characters`;
const VALUE_SHOWN_BYTES_MAX = 200;

export interface CatalogParts {
  readonly store: AdStore;
  readonly ads: AdDirectory;
  readonly log: Log;
}

export function catalogService({ store, ads, log }: CatalogParts): AdCatalogServiceHandlers {
  const explain = (error: unknown) => explainError(error, log);
  return {
    UpsertAds: (call, callback) =>
      answer(callback, explain, async () => {
        const given = readAds(call.request.ads);
        const outcome = await store.upsert(given);
        const adIds = given.map(({ adId }) => adId);
        ads.forget(adIds);
        store.announce(adIds);
        return outcome;
      }),
    GetAd: (call, callback) =>
      answer(callback, explain, async () => {
        if (!isId(call.request.ad_id, AD_ID_BYTES_MAX))
          throw invalidArgument(wrong('ad_id', call.request.ad_id, AD_ID_RULE));
        const [ad] = await store.read([call.request.ad_id]);
        if (ad === undefined)
          throw callError(
            status.NOT_FOUND,
            `ad_id ${JSON.stringify(call.request.ad_id)} is not in the catalog`,
          );
        return { ad: toMessage(ad) };
      }),
    ListAds: (call, callback) =>
      answer(callback, explain, async () => {
        const { page_size, page_token } = call.request;
        if (page_size > ADS_A_PAGE_MAX)
          throw invalidArgument(`page_size must be at most ${ADS_A_PAGE_MAX}, it is ${page_size}`);
        const size = page_size === 0 ? ADS_A_PAGE_DEFAULT : page_size;
        const page = await store.page(readToken(page_token), size + 1);
        const shown = page.slice(0, size);
        return {
          ads: shown.map(toMessage),
          next_page_token: page.length > size ? writeToken(shown.at(-1)?.adId ?? '') : '',
        };
      }),
  };
}

function readAds(messages: readonly AdMessage[]): Ad[] {
  if (messages.length === 0 || messages.length > ADS_A_REQUEST_MAX) {
    throw invalidArgument(`ads must have 1 to ${ADS_A_REQUEST_MAX} entries, it has ${messages.length}`);
  }
  const seen = new Set<string>();
  return messages.map((message, index) => {
    const ad = readAd(message, `ads[${index}]`);
    if (seen.has(ad.adId))
      throw invalidArgument(`ads[${index}].ad_id ${JSON.stringify(ad.adId)} stands there twice`);
    seen.add(ad.adId);
    return ad;
  });
}

function readAd(message: AdMessage, where: string): Ad {
  const refuse = (field: string, value: string, right: string) =>
    invalidArgument(wrong(`${where}.${field}`, value, right));
  if (!isId(message.ad_id, AD_ID_BYTES_MAX)) {
    throw refuse('ad_id', message.ad_id, AD_ID_RULE);
  }
  for (const field of ['campaign_id', 'advertiser_id'] as const) {
    if (message[field] !== '' && !isId(message[field], AD_ID_BYTES_MAX)) {
      throw refuse(field, message[field], `at most ${AD_ID_BYTES_MAX} bytes without control characters`);
    }
  }
  const destinationUrl = readDestination(message.destination_url);
  if (destinationUrl === undefined) {
    throw refuse(
      'destination_url',
      message.destination_url,
      `an absolute https or http URL of at most ${DESTINATION_URL_BYTES_MAX} bytes`,
    );
  }
  // An enum value that this contract does not have arrives as its number.
  if (typeof message.status !== 'string') throw refuse('status', String(message.status), 'ACTIVE or PAUSED');
  return {
    adId: message.ad_id,
    campaignId: message.campaign_id,
    advertiserId: message.advertiser_id,
    destinationUrl,
    status: message.status === 'PAUSED' ? 'PAUSED' : 'ACTIVE',
  };
}

/** The URL in its standard form, which is safe in a Location header; undefined where it is none that a click may lead to. */
function readDestination(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  return url !== undefined && isWeb && fits(url.href, DESTINATION_URL_BYTES_MAX) ? url.href : undefined;
}

function toMessage(ad: Ad) {
  return {
    ad_id: ad.adId,
    campaign_id: ad.campaignId,
    advertiser_id: ad.advertiserId,
    destination_url: ad.destinationUrl,
    status: ad.status,
  };
}

function writeToken(adId: string): string {
  return Buffer.from(adId).toString('base64url');
}

function readToken(token: string): string {
  const adId = Buffer.from(token, 'base64url').toString();
  if (writeToken(adId) === token && (adId === '' || isId(adId, AD_ID_BYTES_MAX))) return adId;
  throw invalidArgument(wrong('page_token', token, 'a next_page_token of ListAds, or empty'));
}

function wrong(field: string, value: string, right: string): string {
  return `${field} ${JSON.stringify(cut(value, VALUE_SHOWN_BYTES_MAX))} is wrong: it must be ${right}`;
}
