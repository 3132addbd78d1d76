/** The URL of a click, as the gateway answers it: `<base>/click?adId=&impressionId=&signature=`. */

/**
 * @param baseUrl of the gateway as browsers see it, with or without a path, such as `https://click.example.com`
 * @param signature what `signClick` gave for this ad and impression
 */
export function clickUrl(baseUrl: string, adId: string, impressionId: string, signature: string): string {
  // Percent signs everywhere: a `+` for a blank is not read alike by everything between page and gateway.
  const query = Object.entries({ adId, impressionId, signature })
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
  return `${baseUrl.replace(/\/+$/, '')}/click?${query}`;
}
