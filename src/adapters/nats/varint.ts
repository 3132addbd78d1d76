/** Whole numbers as protobuf writes them: seven bits a byte, the lowest first. */

/** @param value from 0 to 2^53 - 1. @returns where it ends */
export function writeVarint(bytes: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    bytes[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[at++] = rest;
  return at;
}
