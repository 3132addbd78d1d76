/** UUIDv7 (RFC 9562): 48 bits of milliseconds since the Unix epoch, then version, variant and 74 random bits. */

const CANONICAL = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** Bytes of any UUID. */
export const UUID_BYTES = 16;

/** The 16 bytes of a UUIDv7 in canonical text form, or undefined where `text` is none. */
export function parseUuid7(text: string): Uint8Array | undefined {
  return CANONICAL.test(text) ? Uint8Array.fromHex(text.replaceAll('-', '')) : undefined;
}

/** The canonical text form of 16 bytes. */
export function formatUuid(bytes: Uint8Array): string {
  const hex = bytes.toHex();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Whether these bytes are a UUIDv7. */
export function isUuid7(bytes: Uint8Array): boolean {
  return bytes.length === UUID_BYTES && (at(bytes, 6) & 0xf0) === 0x70 && (at(bytes, 8) & 0xc0) === 0x80;
}

/** The time inside a UUIDv7 whose bytes begin at `start`, milliseconds since the Unix epoch. */
export function uuid7TimeMs(bytes: Uint8Array, start = 0): number {
  // 48 bits do not fit the bitwise operators, hence the multiplication.
  const high = (at(bytes, start) << 8) | at(bytes, start + 1);
  const low =
    (at(bytes, start + 2) << 24) |
    (at(bytes, start + 3) << 16) |
    (at(bytes, start + 4) << 8) |
    at(bytes, start + 5);
  return high * 2 ** 32 + (low >>> 0);
}

function at(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
