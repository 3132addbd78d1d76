/**
 * What a user agent says of the one who clicked, in words that stay: the library that reads it may be another one next
 * year, a dashboard's filters are not. The lists are closed, so that a text that anybody may send makes no new values
 * without end (I14). proto/clickledger/v1/click.proto names the same words.
 */

/** `bot`: a program that says so. `other`: a user agent that tells of something else, or of nothing. */
export const DEVICE_TYPES = [
  'phone',
  'tablet',
  'desktop',
  'tv',
  'console',
  'wearable',
  'embedded',
  'bot',
  'other',
] as const;

export const OPERATING_SYSTEMS = [
  'Android',
  'ChromeOS',
  'HarmonyOS',
  'iOS',
  'KaiOS',
  'Linux',
  'macOS',
  'Nintendo',
  'PlayStation',
  'Tizen',
  'watchOS',
  'webOS',
  'Windows',
  'Windows Phone',
  'Xbox',
  'other',
] as const;

/** Apps that show pages by themselves are browsers too; `WebView`: an app that does not say which. */
export const BROWSERS = [
  'Alipay',
  'Android Browser',
  'Baidu',
  'Brave',
  'Chrome',
  'Coc Coc',
  'DuckDuckGo',
  'Edge',
  'Facebook',
  'Firefox',
  'Google',
  'HeyTap',
  'Huawei Browser',
  'Instagram',
  'Internet Explorer',
  'KakaoTalk',
  'Line',
  'LinkedIn',
  'MIUI Browser',
  'Naver',
  'Opera',
  'Opera Mini',
  'QQ Browser',
  'Quark',
  'Safari',
  'Samsung Internet',
  'Silk',
  'Snapchat',
  'TikTok',
  'Twitter',
  'UC Browser',
  'Vivaldi',
  'Vivo Browser',
  'WebView',
  'WeChat',
  'Weibo',
  'Whale',
  'Yandex',
  'other',
] as const;

export type DeviceType = (typeof DEVICE_TYPES)[number];
export type OperatingSystem = (typeof OPERATING_SYSTEMS)[number];
export type Browser = (typeof BROWSERS)[number];

/** Empty text: not known. */
export interface UserAgentFacts {
  readonly deviceType: DeviceType | '';
  readonly os: OperatingSystem | '';
  readonly browser: Browser | '';
}

export const NO_USER_AGENT: UserAgentFacts = { deviceType: '', os: '', browser: '' };
