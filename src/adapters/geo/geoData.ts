/**
 * The content of a file in MaxMind's format (.mmdb), as places. Data of several makers is known: `country.iso_code` and
 * `subdivisions` (MaxMind, DB-IP), or `country_code` alone.
 */
import { isIP } from 'node:net';
import { LRUCache } from 'lru-cache';
import { Reader, type Response } from 'mmdb-lib';
import { plainAddress } from '../../domain/network.ts';
import { countryOf, NOWHERE, type Place, regionOf } from '../../domain/place.ts';

/** Entries that are kept decoded: all countries, and the regions that come most. */
const ENTRIES_MAX = 10_000;
/** Zeros between the search tree and the entries. */
const SEPARATOR_BYTES = 16;

/** What of an entry is looked at. */
interface Entry {
  readonly country?: { readonly iso_code?: unknown };
  readonly country_code?: unknown;
  readonly subdivisions?: readonly { readonly iso_code?: unknown }[];
}

export class GeoData {
  readonly #reader: Reader<Response>;
  readonly #places = new WeakMap<object, Place>();

  /** @throws Error where the bytes are no such file, or a part of one */
  constructor(bytes: Buffer) {
    this.#reader = new Reader(bytes, { cache: new LRUCache<string | number, object>({ max: ENTRIES_MAX }) });
    const { ipVersion, nodeCount, searchTreeSize } = this.#reader.metadata;
    const isWhole = nodeCount > 0 && searchTreeSize + SEPARATOR_BYTES <= bytes.length;
    if ((ipVersion !== 4 && ipVersion !== 6) || !isWhole) throw new Error('its parts do not fit its size');
  }

  get metadata(): Reader<Response>['metadata'] {
    return this.#reader.metadata;
  }

  /**
   * Of an address as text; NOWHERE for what is none.
   * @throws Error where the data is damaged there
   */
  place(address: string): Place {
    const plain = plainAddress(address);
    const family = isIP(plain);
    // The reader would take any text for some address, and one of IPv6 for another one where the data is of IPv4.
    if (family === 0 || (family === 6 && this.#reader.metadata.ipVersion === 4)) return NOWHERE;
    const entry: object | null = this.#reader.get(plain);
    if (entry === null) return NOWHERE;
    let place = this.#places.get(entry);
    if (place === undefined) {
      place = placeOf(entry);
      this.#places.set(entry, place);
    }
    return place;
  }
}

function placeOf({ country: named, country_code, subdivisions }: Entry): Place {
  const country = countryOf(textOf(named?.iso_code ?? country_code));
  return { country, region: regionOf(country, textOf(subdivisions?.[0]?.iso_code)) };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
