/** Keys that sign click URLs, as operators write them: `kid:hex,kid:hex`. The first signs, all verify. */

export interface SigningKey {
  /** Names the key inside a signature: 1 to 16 letters, digits, `-` or `_`. */
  readonly kid: string;
  readonly secret: Uint8Array;
}

/** A shorter secret than HMAC-SHA256's own output would be the weakest part of a signature. */
const SECRET_BYTES_MIN = 16;

/** The keys in `text`, or what is wrong with it. */
export function parseSigningKeys(
  text: string,
): { kind: 'keys'; keys: SigningKey[] } | { kind: 'wrong'; why: string } {
  const keys: SigningKey[] = [];
  for (const part of text.split(',')) {
    const [, kid, hex] = /^([A-Za-z0-9_-]{1,16}):((?:[0-9a-fA-F]{2})+)$/.exec(part.trim()) ?? [];
    if (kid === undefined || hex === undefined)
      return { kind: 'wrong', why: 'each key must be <kid>:<hex digits in pairs>' };
    if (keys.some((key) => key.kid === kid))
      return { kind: 'wrong', why: `the key id ${kid} stands there twice` };
    const secret = Uint8Array.fromHex(hex);
    if (secret.length < SECRET_BYTES_MIN) {
      return {
        kind: 'wrong',
        why: `the key ${kid} has ${secret.length} bytes, at least ${SECRET_BYTES_MIN} are needed`,
      };
    }
    keys.push({ kid, secret });
  }
  return { kind: 'keys', keys };
}
