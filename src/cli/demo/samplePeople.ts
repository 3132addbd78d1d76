/** The people of the sample traffic, made up. Pure. */

export interface SamplePerson {
  /** In a range that nobody has (RFC 2544). */
  readonly address: string;
  readonly country: string;
  readonly userAgent: string;
}

export const PEOPLE_COUNT = 20_000;

/** And in how many of a hundred they are. */
const COUNTRIES = [
  ['IN', 21],
  ['US', 18],
  ['NP', 15],
  ['DE', 9],
  ['GB', 8],
  ['BR', 8],
  ['JP', 7],
  ['NG', 5],
  ['FR', 4],
  ['ID', 3],
  ['MX', 2],
] as const;

/** User agents of people. */
export const PEOPLE = [
  'Mozilla/5.0 (Linux; Android 14; SM-A546E) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15',
  'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0',
  'Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0',
] as const;

/** Beside the usual ones: tablets, a television, and apps that show pages. */
const USER_AGENTS = [
  ...PEOPLE,
  'Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22B83 Instagram 358.0.0.36.86 (iPhone15,2; iOS 18_1; en_US; en; scale=3.00; 1179x2556; 659220230)',
  'Mozilla/5.0 (Linux; Android 14; SM-S921B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.81 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/490.0.0.63.82;]',
  'Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36',
] as const;

/** @param number from 0; makes the address @param random chance, for the rest */
export function samplePerson(number: number, random: () => number): SamplePerson {
  return {
    address: `198.${18 + (number >> 16)}.${(number >> 8) & 0xff}.${number & 0xff}`,
    country: countryAt(100 * random()),
    userAgent: USER_AGENTS[Math.floor(random() * USER_AGENTS.length)] ?? '',
  };
}

function countryAt(point: number): string {
  let sum = 0;
  for (const [country, share] of COUNTRIES) {
    sum += share;
    if (point < sum) return country;
  }
  return '';
}
