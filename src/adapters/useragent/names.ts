/**
 * From the names of ua-parser-js, or of the user agent where it takes them from there, to the words of this project.
 * Keys are in lower case: a user agent may write its name in any.
 */
import type { Browser, DeviceType, OperatingSystem } from '../../domain/userAgentFacts.ts';

const DEVICES: Readonly<Record<string, DeviceType>> = {
  mobile: 'phone',
  tablet: 'tablet',
  smarttv: 'tv',
  console: 'console',
  wearable: 'wearable',
  embedded: 'embedded',
};

/** What has such a system where its user agent says no more: the library names no desktops. */
const DEVICES_BY_SYSTEM: Readonly<Partial<Record<OperatingSystem, DeviceType>>> = {
  Android: 'phone',
  ChromeOS: 'desktop',
  HarmonyOS: 'phone',
  iOS: 'phone',
  KaiOS: 'phone',
  Linux: 'desktop',
  macOS: 'desktop',
  Tizen: 'tv',
  watchOS: 'wearable',
  webOS: 'tv',
  Windows: 'desktop',
  'Windows Phone': 'phone',
};

const SYSTEMS: ReadonlyMap<string, OperatingSystem> = new Map<string, OperatingSystem>([
  ['android', 'Android'],
  ['android-x86', 'Android'],
  ['chromium os', 'ChromeOS'],
  ['harmonyos', 'HarmonyOS'],
  ['openharmony', 'HarmonyOS'],
  ['ios', 'iOS'],
  ['kaios', 'KaiOS'],
  ['mac os', 'macOS'],
  ['nintendo', 'Nintendo'],
  ['playstation', 'PlayStation'],
  ['tizen', 'Tizen'],
  ['watchos', 'watchOS'],
  ['webos', 'webOS'],
  ['windows', 'Windows'],
  ['windows mobile', 'Windows Phone'],
  ['windows phone', 'Windows Phone'],
  ['windows phone os', 'Windows Phone'],
  ['xbox', 'Xbox'],
  ...linux('arch', 'centos', 'debian', 'deepin', 'elementary os', 'fedora', 'gentoo', 'gnu', 'kubuntu'),
  ...linux('linux', 'lubuntu', 'mageia', 'mandriva', 'manjaro', 'mint', 'opensuse', 'raspbian', 'red hat'),
  ...linux('redhat', 'slackware', 'suse', 'ubuntu', 'xubuntu'),
]);

const BROWSER_NAMES: ReadonlyMap<string, Browser> = new Map<string, Browser>([
  ['alipay', 'Alipay'],
  ['android browser', 'Android Browser'],
  ['baidu', 'Baidu'],
  ['brave', 'Brave'],
  ['chrome', 'Chrome'],
  ['chrome webview', 'WebView'],
  ['chromium', 'Chrome'],
  ['coc coc', 'Coc Coc'],
  ['duckduckgo', 'DuckDuckGo'],
  ['edge', 'Edge'],
  ['facebook', 'Facebook'],
  ['firefox', 'Firefox'],
  ['firefox focus', 'Firefox'],
  ['gsa', 'Google'],
  ['heytap', 'HeyTap'],
  ['huawei browser', 'Huawei Browser'],
  ['ie', 'Internet Explorer'],
  ['iemobile', 'Internet Explorer'],
  ['instagram', 'Instagram'],
  ['kakaotalk', 'KakaoTalk'],
  ['klar', 'Firefox'],
  ['line', 'Line'],
  ['linkedin', 'LinkedIn'],
  ['miui browser', 'MIUI Browser'],
  ['mobile safari', 'Safari'],
  ['naver', 'Naver'],
  ['opera', 'Opera'],
  ['opera coast', 'Opera'],
  ['opera gx', 'Opera'],
  ['opera mini', 'Opera Mini'],
  ['opera mobi', 'Opera'],
  ['opera tablet', 'Opera'],
  ['opera touch', 'Opera'],
  ['qqbrowser', 'QQ Browser'],
  ['qqbrowserlite', 'QQ Browser'],
  ['quark', 'Quark'],
  ['safari', 'Safari'],
  ['samsung internet', 'Samsung Internet'],
  ['silk', 'Silk'],
  ['snapchat', 'Snapchat'],
  ['tiktok', 'TikTok'],
  ['twitter', 'Twitter'],
  ['ucbrowser', 'UC Browser'],
  ['vivaldi', 'Vivaldi'],
  ['vivo browser', 'Vivo Browser'],
  ['wechat', 'WeChat'],
  ['weibo', 'Weibo'],
  ['whale', 'Whale'],
  ['yandex', 'Yandex'],
]);

/** undefined: the library does not know. */
export function deviceTypeOf(type: string | undefined, os: OperatingSystem): DeviceType {
  return DEVICES[type ?? ''] ?? DEVICES_BY_SYSTEM[os] ?? 'other';
}

export function operatingSystemOf(name = ''): OperatingSystem {
  return SYSTEMS.get(name.toLowerCase()) ?? 'other';
}

export function browserOf(name: string | undefined, os: OperatingSystem): Browser {
  // Every app of iOS shows pages with WebKit; those that are browsers say so.
  if (name === 'WebKit' && os === 'iOS') return 'WebView';
  return BROWSER_NAMES.get(name?.toLowerCase() ?? '') ?? 'other';
}

function linux(...names: readonly string[]): [string, OperatingSystem][] {
  return names.map((name) => [name, 'Linux']);
}
