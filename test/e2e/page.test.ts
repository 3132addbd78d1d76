/** The live page in a real Chromium, over a whole installation: clicks are made, and looked for on the page. */
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CatalogClient, catalogClient } from '../../src/adapters/grpc/clients.ts';
import { launchChromium, paleTexts, WatchedPage } from '../support/chromium.ts';
import { Installation } from './installation.ts';

const BROWSER =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36';
const ADS = ['shoes', 'shoes-red', 'hats'];
/** What the issue asks for. */
const ON_THE_CHART_MS = 2_000;
const CLICKS = 5;

describe('the live page', { timeout: 90_000 }, () => {
  let installation: Installation;
  let catalog: CatalogClient;
  let browser: Browser;

  beforeAll(async () => {
    // Nothing is flushed: what the page shows comes from the owners.
    installation = await Installation.start({ FLUSH_INTERVAL: '10m', SHARDS: '2' });
    catalog = catalogClient(installation.ingestAddress);
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    catalog?.close();
    await installation?.remove();
  });

  /** With the page's errors and foreign requests looked at in the end. */
  async function withPage(
    search: string,
    use: (page: Page, watched: WatchedPage) => Promise<void>,
    options: Parameters<typeof WatchedPage.open>[2] = {},
  ): Promise<void> {
    const watched = await WatchedPage.open(browser, `${installation.webUrl}/${search}`, options);
    try {
      await use(watched.page, watched);
      expect([...watched.hosts]).toEqual(['127.0.0.1']);
      expect(watched.errors).toEqual([]);
    } finally {
      await watched.close();
    }
  }

  async function register(ads: readonly string[]): Promise<void> {
    await catalog.upsertAds({
      ads: ads.map((ad_id) => ({ ad_id, destination_url: `https://shop.example/${ad_id}` })),
    });
  }

  async function sign(ad: string, count = 1): Promise<string[]> {
    const { output } = await installation.run(
      'sign',
      ad,
      '--count',
      String(count),
      '--base-url',
      installation.httpUrl,
    );
    return output.trim().split('\n');
  }

  async function follow(url: string): Promise<void> {
    const { status } = await fetch(url, { redirect: 'manual', headers: { 'user-agent': BROWSER } });
    expect(status).toBe(302);
  }

  const connection = (page: Page) => page.locator('.connection [role=status]');
  const isLive = (page: Page) => connection(page).getByText('Live', { exact: true }).waitFor();
  const textOf = async (locator: Locator, text: string) => {
    await locator.and(locator.page().getByText(text, { exact: true })).waitFor();
  };

  test('says what to do where there is no ad yet', async () => {
    await withPage('', async (page) => {
      await page.getByText('Choose an ad above.').waitFor();
      expect(await page.getByTestId('valid').textContent()).toBe('0');
    });
  });

  test('shows a click within 2 s, on the chart too, before it is flushed', async () => {
    await register(ADS);
    const urls = await sign('shoes', CLICKS);
    await withPage('?ad=shoes&range=15m', async (page) => {
      await isLive(page);
      const drawn = () =>
        page.locator('canvas').evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL());
      const empty = await drawn();
      const tookMs: number[] = [];
      for (const [at, url] of urls.entries()) {
        await follow(url);
        const startMs = performance.now();
        await textOf(page.getByTestId('valid'), String(at + 1));
        tookMs.push(performance.now() - startMs);
      }
      expect(await drawn()).not.toBe(empty);
      expect(
        await page.getByRole('img', { name: /Valid clicks a minute/ }).getAttribute('aria-label'),
      ).toContain(`shoes: ${CLICKS}`);
      expect(tookMs.sort((left, right) => left - right)[Math.floor(CLICKS / 2)]).toBeLessThan(
        ON_THE_CHART_MS,
      );
    });
  });

  test('the same click again is a repeat, with a program it is invalid: the split says so', async () => {
    await register(ADS);
    const [url = ''] = await sign('hats');
    await follow(url);
    await follow(url);
    await fetch(url, { redirect: 'manual', headers: { 'user-agent': 'curl/7.88.1' } });
    await withPage('?ad=hats&range=15m', async (page) => {
      const part = (name: string) => page.locator('.split dl > div', { hasText: name }).locator('dd');
      await textOf(page.getByTestId('valid'), '1');
      expect(await part('Repeat').textContent()).toBe('1 33.3%');
      expect(await part('General invalid').textContent()).toBe('1 33.3%');
      expect(await page.locator('.finality dd').first().textContent()).toMatch(/^15 of 15/);
    });
  });

  test('can be used by keyboard alone, and the address says what is shown', async () => {
    await register(ADS);
    await withPage('?ad=hats&range=15m&zone=Asia/Kathmandu', async (page) => {
      await isLive(page);
      const focused = () =>
        page.evaluate(() => {
          const element = document.activeElement as HTMLElement;
          const shown = element.matches('.segments input')
            ? (element.nextElementSibling as HTMLElement)
            : element;
          const { outlineStyle, outlineWidth } = getComputedStyle(
            element.matches('#ad-search') ? (element.parentElement as HTMLElement) : shown,
          );
          const labels = (element as HTMLInputElement).labels ?? [];
          const name =
            element.getAttribute('aria-label') ?? [...labels].map(({ textContent }) => textContent).join(' ');
          return {
            name: (name || element.textContent || '').trim(),
            isSeen: outlineStyle !== 'none' && outlineWidth !== '0px',
          };
        });
      const walk: string[] = [];
      for (let step = 0; step < 30; step++) {
        await page.keyboard.press('Tab');
        const { name, isSeen } = await focused();
        if (
          step > 0 &&
          (name === walk[0] || (await page.evaluate(() => document.activeElement === document.body)))
        )
          break;
        expect(name, `step ${step}, after ${walk.at(-1)}`).not.toBe('');
        expect(isSeen, name).toBe(true);
        walk.push(name);
      }
      expect(walk.slice(0, 5)).toEqual([
        'Skip to the counts',
        'Auto',
        'Remove hats',
        expect.stringMatching(/^Ads/),
        '15 min',
      ]);
      expect(walk).toContainEqual(expect.stringMatching(/^Time zone/));
      expect(walk).toContain('As a table');

      await page.getByRole('radio', { name: '15 min' }).focus();
      await page.keyboard.press('ArrowRight');
      await page.waitForFunction(() => location.search.includes('range=1h'));

      await page.getByRole('combobox', { name: /^Ads/ }).focus();
      await page.keyboard.type('shoes-');
      await page.getByRole('option', { name: 'shoes-red' }).waitFor();
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Remove shoes-red' }).waitFor();
      await page.waitForFunction(() => location.search.includes('ad=hats&ad=shoes-red'));
      await page.keyboard.press('Backspace');
      await page.getByRole('button', { name: 'Remove shoes-red' }).waitFor({ state: 'detached' });

      await page.keyboard.press('Control+Home');
      await page.locator('.skip').focus();
      await page.keyboard.press('Enter');
      expect(await page.evaluate(() => document.activeElement?.id)).toBe('content');
      expect(new URL(page.url()).searchParams.get('zone')).toBe('Asia/Kathmandu');
    });
  });

  test('a shared address shows the same view, and moments in its time zone', async () => {
    await register(ADS);
    await withPage('?ad=hats&ad=shoes&range=6h&zone=Asia/Kathmandu', async (page) => {
      await isLive(page);
      expect(await page.locator('.chip span').allTextContents()).toEqual(['hats', 'shoes']);
      expect(await page.getByRole('radio', { name: '6 h' }).isChecked()).toBe(true);
      await page.getByText('As a table').click();
      const newest = () => page.locator('tbody th').first().textContent();
      const inKathmandu = await newest();
      await page.getByRole('combobox', { name: /^Time zone/ }).selectOption('UTC');
      await page.waitForFunction(
        (before) => document.querySelector('tbody th')?.textContent !== before,
        inKathmandu,
      );
      const minutes = (text: string | null) => {
        const [, hour = '', minute = ''] = /(\d\d):(\d\d)$/.exec(text ?? '') ?? [];
        return Number(hour) * 60 + Number(minute);
      };
      // 5 hours 45 minutes, or a minute less where it has just begun.
      const apart = (minutes(inKathmandu) - minutes(await newest()) + 1_440) % 1_440;
      expect([345, 344]).toContain(apart);
      await page.waitForFunction(() => location.search.includes('zone=UTC'));
    });
  });

  test.each([-5, 7])(
    "tells the service's minutes in a browser whose clock is %d hours off",
    async (hours) => {
      await register(ADS);
      // A page that runs already would see the clock at 1970 for a moment.
      const watched = await WatchedPage.open(browser, 'about:blank');
      const { page } = watched;
      await page.clock.install({ time: Date.now() + hours * 3_600_000 });
      await page.goto(`${installation.webUrl}/?ad=hats&range=15m&zone=UTC`);
      await isLive(page);
      await page.getByText('As a table').click();
      // What it drew before the service said what time it is goes with the first news.
      await expect
        .poll(
          async () => {
            const newest = await page.locator('tbody th').first().textContent();
            const times = [0, 60_000].map((agoMs) =>
              new Date(Date.now() - agoMs).toISOString().slice(11, 16),
            );
            return times.some((time) => newest?.endsWith(time));
          },
          { timeout: 10_000 },
        )
        .toBe(true);
      expect(watched.errors).toEqual([]);
      await watched.close();
    },
  );

  test('leaves out of an address what can be no ad', async () => {
    await register(ADS);
    const search = new URLSearchParams([
      ['ad', 'a\0b'],
      ['ad', 'é'.repeat(65)],
      ['ad', 'hats'],
    ]);
    await withPage(`?${search}&range=15m`, async (page) => {
      await isLive(page);
      expect(await page.locator('.chip span').allTextContents()).toEqual(['hats']);
    });
  });

  test('hours and days are asked for, where minutes would be too many', async () => {
    await register(ADS);
    await withPage('?ad=hats&range=7d&zone=UTC', async (page) => {
      await textOf(page.getByTestId('valid'), '1');
      await page.getByText('Valid clicks by hour').waitFor();
      await connection(page).getByText('Every 10 s').waitFor();
    });
  });

  test.each(['light', 'dark'] as const)(
    'is readable in %s, also when it is chosen against the system',
    async (scheme) => {
      await register(ADS);
      const other = scheme === 'light' ? 'dark' : 'light';
      const background = (page: Page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const search = '?ad=hats&ad=shoes&range=15m';
      let asSystem = '';
      await withPage(
        search,
        async (page) => {
          await isLive(page);
          await page.getByText('As a table').click();
          asSystem = await background(page);
          expect(await paleTexts(page)).toEqual([]);
        },
        { colorScheme: scheme },
      );
      await withPage(
        search,
        async (page) => {
          await isLive(page);
          expect(await background(page)).not.toBe(asSystem);
          await page.getByRole('radio', { name: scheme === 'light' ? 'Light' : 'Dark' }).check();
          expect(await background(page)).toBe(asSystem);
          await page.reload();
          expect(await background(page)).toBe(asSystem);
        },
        { colorScheme: other },
      );
    },
  );

  test('pale words would be noticed', async () => {
    await withPage('?ad=hats', async (page) => {
      await isLive(page);
      await page.locator('h1').evaluate((title) => {
        title.style.color = '#aaa';
      });
      expect(await paleTexts(page)).toEqual([expect.stringContaining('clickledger')]);
    });
  });

  test('fits a small screen', async () => {
    await withPage(
      '?ad=hats&ad=shoes&ad=shoes-red',
      async (page) => {
        await isLive(page);
        const [content, screen] = await page.evaluate(() => [
          document.documentElement.scrollWidth,
          innerWidth,
        ]);
        expect(content).toBeLessThanOrEqual(screen ?? 0);
      },
      { viewport: { width: 340, height: 700 } },
    );
  });

  test('tells the newest minute up to its end, of ads with long ids within the chart', async () => {
    const long = 'autumn-'.repeat(16);
    await register([...ADS, long]);
    await withPage(
      `?${new URLSearchParams({ ad: long, range: '15m' })}`,
      async (page) => {
        await isLive(page);
        await page.locator('.u-over').hover({ position: { x: 10, y: 10 } });
        const plot = await page.locator('.u-over').boundingBox();
        if (plot === null) throw new Error('there is no chart');
        await page.mouse.move(plot.x + plot.width - 2, plot.y + 20);
        const tip = page.locator('.tip');
        await tip.getByText('provisional').waitFor();
        const box = await tip.boundingBox();
        expect(box?.x).toBeGreaterThanOrEqual(plot.x);
        expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(plot.x + plot.width);
      },
      { viewport: { width: 390, height: 900 } },
    );
  });

  test('asks nothing where no ad is chosen, and says so', async () => {
    await register(ADS);
    await withPage('?ad=hats', async (page) => {
      await isLive(page);
      await page.getByRole('button', { name: 'Remove hats' }).click();
      await connection(page).getByText('No ad chosen').waitFor();
      expect(await page.getByText('No ad is chosen.').count()).toBe(2);
      expect(await page.locator('.finality dd').first().textContent()).toMatch(/^– of 60 minutes/);
    });
  });

  test('keeps what it has while the service is away, says so, and goes on by itself', async () => {
    await register(ADS);
    const [url = ''] = await sign('shoes-red');
    const watched = await WatchedPage.open(browser, `${installation.webUrl}/?ad=hats&ad=shoes-red&range=15m`);
    const { page } = watched;
    await isLive(page);
    await textOf(page.getByTestId('valid'), '1');
    const goOn = await away(page);
    expect(await page.getByTestId('valid').textContent()).toBe('1');
    await goOn();
    await isLive(page);
    await follow(url);
    await textOf(page.getByTestId('valid'), '2');
    await watched.close();
  });

  /** Ends the query service, until the page has noticed. @returns when another one serves */
  async function away(page: Page): Promise<() => Promise<void>> {
    const noticed = connection(page).getByText('Reconnecting').waitFor();
    const replaced = installation.kill('query');
    await noticed;
    return () => replaced;
  }
});
