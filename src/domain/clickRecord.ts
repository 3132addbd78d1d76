/**
 * A click as it stands on the stream: facts only. What becomes of it is decided by `judge` and the fold, from
 * nothing but these facts.
 */

export type Channel = 'HTTP' | 'GRPC';

/** What the gateway found at a click URL; NOT_CHECKED over gRPC, where nothing is signed. */
export type SignatureCheck = 'NOT_CHECKED' | 'VALID' | 'INVALID' | 'EXPIRED';

/** What routing, judging and counting need of a click. */
export interface ClickFacts {
  /** UUIDv7, 16 bytes. */
  readonly clickId: Uint8Array;
  /** UUIDv7, 16 bytes; undefined where the click has no impression. */
  readonly impressionId: Uint8Array | undefined;
  readonly adId: string;
  /** When it happened, milliseconds since the Unix epoch. */
  readonly eventTimeMs: number;
  /** When the gateway received it, by the gateway's clock, milliseconds since the Unix epoch. */
  readonly receivedMs: number;
  readonly channel: Channel;
  readonly signature: SignatureCheck;
  /** The request asked for no page. */
  readonly head: boolean;
  /** The browser said that it only prefetches. */
  readonly prefetch: boolean;
  readonly test: boolean;
  /** undefined: not known (gRPC); empty: the client sent none (HTTP). */
  readonly userAgent: string | undefined;
}

/** Bytes of the key that stands for a person. */
export const USER_KEY_BYTES = 16;

/** What routing alone needs of a click (I3). */
export interface RoutedFacts extends Pick<ClickFacts, 'clickId' | 'impressionId' | 'adId' | 'receivedMs'> {
  /** The times inside the UUIDs, of a click that has them ready (WrittenClick). */
  readonly clickMs?: number;
  readonly impressionMs?: number | undefined;
}

/** What is kept for whoever asks later: dimensions and origin. Empty text: not known. */
export interface ClickContext {
  /** Salted hash of the person, 16 bytes; empty where nothing is known of them. */
  readonly userKey: Uint8Array;
  readonly referrer: string;
  readonly country: string;
  readonly region: string;
  readonly deviceType: string;
  readonly os: string;
  readonly browser: string;
  readonly publisherId: string;
  readonly placementId: string;
  readonly creativeId: string;
  /** The sender of the batch, as it named itself. */
  readonly source: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Nothing is known. */
export const EMPTY_CONTEXT: ClickContext = {
  userKey: new Uint8Array(0),
  referrer: '',
  country: '',
  region: '',
  deviceType: '',
  os: '',
  browser: '',
  publisherId: '',
  placementId: '',
  creativeId: '',
  source: '',
  attributes: {},
};

export interface ClickRecord extends ClickFacts, ClickContext {}
