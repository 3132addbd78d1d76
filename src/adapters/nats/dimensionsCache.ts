/**
 * The dimensions of records by their bytes. Few combinations of values make most clicks, but nearly every referrer is one of
 * its own: so its site is
 * remembered apart from the other values, by what stands before its path.
 */
import type { ClickDimensions } from '../../domain/dimensions.ts';
import { referrerDomain } from '../../domain/referrerDomain.ts';
import { BytesCache } from './bytesCache.ts';

/** Sites with one combination of the other values (I14); beyond, all are made anew. */
const SITES_MAX = 128;
/** A host begins here at the earliest, or one byte before. */
const HOST_AT_LATEST = 'https://'.length;
const PATH_BEGINS: ReadonlySet<number> = new Set(Array.from('/?#\\', (letter) => letter.charCodeAt(0)));

/** A part of a message's bytes. */
export interface Part {
  readonly start: number;
  readonly end: number;
}

/** A combination of the values but the site, and what it is with each site. */
interface KnownValues {
  readonly values: ClickDimensions;
  readonly bySite: Map<string, ClickDimensions>;
}

export class DimensionsCache {
  readonly #values: BytesCache<KnownValues>;
  readonly #sites = new BytesCache((bytes) => referrerDomain(bytes.toString()), 1);

  /** @param read the dimensions in some of a record's bytes, cut between fields */
  constructor(read: (bytes: Uint8Array) => ClickDimensions) {
    this.#values = new BytesCache((bytes) => ({ values: read(bytes), bySite: new Map() }), 1);
  }

  /**
   * @param others holds all fields of a record's dimensions but the referrer, and perhaps more
   * @param referrer its text
   */
  of(bytes: Uint8Array, others: Part, referrer: Part): ClickDimensions {
    const { values, bySite } = this.#values.of(bytes, others.start, others.end);
    const site = this.#sites.of(bytes, referrer.start, endOfHost(bytes, referrer));
    if (site === values.referrer_domain) return values;
    const known = bySite.get(site);
    if (known !== undefined) return known;
    const dimensions = { ...values, referrer_domain: site };
    if (bySite.size >= SITES_MAX) bySite.clear();
    bySite.set(site, dimensions);
    return dimensions;
  }
}

/** Where the path of a URL begins, so that what is before it has the same site as the whole. */
function endOfHost(bytes: Uint8Array, { start, end }: Part): number {
  for (let at = start + HOST_AT_LATEST; at < end; at++) if (PATH_BEGINS.has(bytes[at] ?? 0)) return at;
  return end;
}
