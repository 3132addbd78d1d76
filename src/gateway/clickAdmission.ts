/**
 * Takes in a click that an ad server reports: every field is checked, and a wrong one is refused with a reason that
 * names the field, its value and what would be right. A refused click leaves nothing behind.
 */
import type { Click__Output as Click } from '../contract/generated/clickledger/v1/Click.ts';
import type { ClickRecord } from '../domain/clickRecord.ts';
import { type FactFinder, foundFacts } from '../domain/factFinder.ts';
import {
  AD_ID_BYTES_MAX,
  ATTRIBUTE_KEY_BYTES_MAX,
  ATTRIBUTE_VALUE_BYTES_MAX,
  ATTRIBUTES_MAX,
  CLICK_TEXT_BYTES_MAX,
  cut,
  fits,
  isId,
} from '../domain/limits.ts';
import type { MonthlySalt } from '../domain/monthlySalt.ts';
import { parseUuid7, uuid7TimeMs } from '../domain/uuid7.ts';
import { userKey } from './userKey.ts';

export type Admission = { readonly kind: 'admitted'; readonly record: ClickRecord } | Refusal;

export interface Refusal {
  readonly kind: 'refused';
  readonly reason: string;
}

export interface AdmissionContext {
  readonly source: string;
  /** When the gateway received it, milliseconds since the Unix epoch. */
  readonly receivedMs: number;
  readonly userKeySalt: MonthlySalt;
  readonly finder: FactFinder;
}

/** Checks everything but that the ad exists. */
export function admitClick(click: Click, context: AdmissionContext): Admission {
  const clickId = parseUuid7(click.click_id);
  if (clickId === undefined) return refuse('click_id', click.click_id, 'a UUIDv7');
  const impressionId = click.impression_id === '' ? undefined : parseUuid7(click.impression_id);
  if (impressionId === undefined && click.impression_id !== '') {
    return refuse('impression_id', click.impression_id, 'a UUIDv7 or empty');
  }
  if (!isId(click.ad_id, AD_ID_BYTES_MAX)) {
    return refuse('ad_id', click.ad_id, `1 to ${AD_ID_BYTES_MAX} bytes without control characters`);
  }
  if (!Number.isSafeInteger(click.event_time_ms) || click.event_time_ms < 0) {
    return refuse(
      'event_time_ms',
      String(click.event_time_ms),
      'milliseconds since 1970, from 0 to 2^53 - 1',
    );
  }
  const wrongText = findWrongText(click) ?? findWrongAttribute(click.attributes);
  if (wrongText !== undefined) return wrongText;
  return { kind: 'admitted', record: toRecord(click, clickId, impressionId, context) };
}

/** The refusal of a click whose ad is not in the catalog. */
export function refuseUnknownAd(adId: string): Refusal {
  return refuse('ad_id', adId, 'an ad of the catalog (AdCatalogService.UpsertAds registers it)');
}

/** A click_id stands for one click even where the ad server spells it in capitals. */
function toRecord(
  click: Click,
  clickId: Uint8Array,
  impressionId: Uint8Array | undefined,
  context: AdmissionContext,
): ClickRecord {
  const eventTimeMs = click.event_time_ms === 0 ? uuid7TimeMs(clickId) : click.event_time_ms;
  const userAgent = click.user_agent ?? '';
  return {
    clickId,
    impressionId,
    adId: click.ad_id,
    eventTimeMs,
    receivedMs: context.receivedMs,
    channel: 'GRPC',
    signature: 'NOT_CHECKED',
    head: false,
    prefetch: false,
    test: click.test,
    userAgent: click.user_agent,
    userKey: userKey(context.userKeySalt, eventTimeMs, {
      userId: click.user_id,
      ip: click.ip,
      userAgent,
    }),
    referrer: click.referrer,
    ...foundFacts({ ...click, deviceType: click.device_type }, userAgent, click.ip, context.finder),
    publisherId: click.publisher_id,
    placementId: click.placement_id,
    creativeId: click.creative_id,
    source: context.source,
    attributes: click.attributes,
  };
}

const TEXT_FIELDS = Object.entries(CLICK_TEXT_BYTES_MAX) as [keyof typeof CLICK_TEXT_BYTES_MAX, number][];

function findWrongText(click: Click): Admission | undefined {
  for (const [field, bytesMax] of TEXT_FIELDS) {
    const value = click[field];
    if (value !== undefined && !fits(value, bytesMax))
      return refuse(field, value, `at most ${bytesMax} bytes`);
  }
  return undefined;
}

function findWrongAttribute(attributes: Readonly<Record<string, string>>): Admission | undefined {
  const entries = Object.entries(attributes);
  if (entries.length > ATTRIBUTES_MAX)
    return refuse('attributes', `${entries.length} pairs`, `at most ${ATTRIBUTES_MAX} pairs`);
  for (const [key, value] of entries) {
    if (!fits(key, ATTRIBUTE_KEY_BYTES_MAX))
      return refuse('attributes key', key, `at most ${ATTRIBUTE_KEY_BYTES_MAX} bytes`);
    if (!fits(value, ATTRIBUTE_VALUE_BYTES_MAX)) {
      return refuse(`attributes[${key}]`, value, `at most ${ATTRIBUTE_VALUE_BYTES_MAX} bytes`);
    }
  }
  return undefined;
}

const SHOWN_BYTES_MAX = 80;

function refuse(field: string, value: string, right: string): Refusal {
  const shown = fits(value, SHOWN_BYTES_MAX) ? value : `${cut(value, SHOWN_BYTES_MAX)}…`;
  return { kind: 'refused', reason: `${field} ${JSON.stringify(shown)} is wrong: it must be ${right}` };
}
