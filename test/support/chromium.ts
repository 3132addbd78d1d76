/** A real Chromium, and what pages must not do in it. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

/** As Debian installs it. */
export function launchChromium(): Promise<Browser> {
  const executablePath = Bun.which('chromium');
  if (executablePath === null) throw new Error('chromium is not on PATH: ./clickledger test installs it');
  // Its sandbox refuses to run as root, which tests in containers are.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

export class WatchedPage {
  readonly page: Page;
  /** Errors of the console and of scripts. */
  readonly errors: string[] = [];
  /** Hosts that were asked for anything. */
  readonly hosts = new Set<string>();

  private constructor(page: Page) {
    this.page = page;
  }

  static async open(
    browser: Browser,
    url: string,
    options: BrowserContextOptions = {},
  ): Promise<WatchedPage> {
    const context = await browser.newContext({ viewport: { width: 1_280, height: 900 }, ...options });
    const watched = new WatchedPage(await context.newPage());
    watched.page.on('console', (message) => {
      if (message.type() === 'error') watched.errors.push(`${message.text()} ${message.location().url}`);
    });
    watched.page.on('pageerror', (error) => watched.errors.push(String(error)));
    context.on('request', (request) => watched.hosts.add(new URL(request.url()).hostname));
    await watched.page.goto(url);
    return watched;
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}

/** Text that is too pale to read: its words, and its contrast to what is behind it (WCAG 2.2: at least 4.5). */
export function paleTexts(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    type Colour = [number, number, number, number];
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const parse = (text: string): Colour => {
      if (canvas === null) throw new Error('no canvas');
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      const [red = 0, green = 0, blue = 0, alpha = 0] = canvas.getImageData(0, 0, 1, 1).data;
      return [red, green, blue, alpha / 255];
    };
    const luminance = ([red, green, blue]: Colour) => {
      const part = (value: number) =>
        value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
      return 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
    };
    const behind = (element: Element | null): Colour => {
      for (let at = element; at !== null; at = at.parentElement) {
        const colour = parse(getComputedStyle(at).backgroundColor);
        if (colour[3] === 1) return colour;
      }
      return [255, 255, 255, 1];
    };
    const pale: string[] = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement;
      const words = texts.currentNode.textContent?.trim() ?? '';
      if (element === null || words === '' || !element.checkVisibility({ visibilityProperty: true }))
        continue;
      const [fore, back] = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))];
      const contrast = (Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05);
      if (contrast < 4.5) pale.push(`${words} ${contrast.toFixed(2)}`);
    }
    return pale;
  });
}
