/**
 * How long the texts of a click and an ad may be, in bytes of UTF-8; how many clicks a request may hold. The same
 * numbers stand in the comments of proto/clickledger/v1.
 */

export const AD_ID_BYTES_MAX = 128;
export const SOURCE_BYTES_MAX = 128;
export const CLICKS_A_REQUEST_MAX = 5_000;
/** Beyond this a request is refused whole, before it is decoded: a few kB compressed can hold millions of empty clicks. */
export const CLICKS_A_REQUEST_READ_MAX = 2 * CLICKS_A_REQUEST_MAX;
export const ADS_A_REQUEST_MAX = 1_000;
export const ADS_A_PAGE_MAX = 1_000;
export const ADS_A_PAGE_DEFAULT = 100;
export const DESTINATION_URL_BYTES_MAX = 2_048;

export const USER_AGENT_BYTES_MAX = 1_024;
export const REFERRER_BYTES_MAX = 2_048;

/** Fields of `Click` that are plain texts. */
export const CLICK_TEXT_BYTES_MAX = {
  user_id: 256,
  ip: 64,
  user_agent: USER_AGENT_BYTES_MAX,
  referrer: REFERRER_BYTES_MAX,
  country: 16,
  region: 64,
  device_type: 64,
  os: 64,
  browser: 64,
  publisher_id: 128,
  placement_id: 128,
  creative_id: 128,
} as const;

export const ATTRIBUTES_MAX = 16;
export const ATTRIBUTE_KEY_BYTES_MAX = 64;
export const ATTRIBUTE_VALUE_BYTES_MAX = 256;

/** Whether `text` has at most `bytesMax` bytes of UTF-8. */
export function fits(text: string, bytesMax: number): boolean {
  // No character of a JavaScript string takes more than 3 bytes; short texts need no counting.
  return text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax;
}

/** `text` cut to at most `bytesMax` bytes of UTF-8, never inside a character. */
export function cut(text: string, bytesMax: number): string {
  if (fits(text, bytesMax)) return text;
  let end = bytesMax;
  const bytes = Buffer.from(text);
  // Bytes 10xxxxxx continue a character.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}

/** Whether `text` can be an id: 1 to `bytesMax` bytes without control characters. */
export function isId(text: string, bytesMax: number): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
  return text !== '' && fits(text, bytesMax) && !/[\u0000-\u001f\u007f]/.test(text);
}
