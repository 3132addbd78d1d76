/** The site from which a click came, by its referrer. A rule of our own, so that a replay next year says the same. */

/** A name of the domain name system has no more. */
export const REFERRER_DOMAIN_BYTES_MAX = 253;

/** Whatever stands before the path. */
const AUTHORITY = /^https?:\/\/([^/?#\\]*)/i;
/** Behind a user's name, before a port, without the dot that a whole name may end in. */
const HOST = /^(?:[^@]*@)?((?:[\w-]|\P{ASCII})+(?:\.(?:[\w-]|\P{ASCII})+)*|\[[\da-f:.]+\])\.?(?::\d*)?$/iu;

/** The lower-case host name of an http or https URL, without `www.`; empty where there is none. */
export function referrerDomain(referrer: string): string {
  const host = HOST.exec(AUTHORITY.exec(referrer)?.[1] ?? '')?.[1] ?? '';
  const domain = host.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()).replace(/^www\.(?=.)/, '');
  return Buffer.byteLength(domain) <= REFERRER_DOMAIN_BYTES_MAX ? domain : '';
}
