/**
 * The chart on its canvas. Each ad has two lines: a dashed, paler one where counts can still change, a full one where
 * they are settled or final; a strip below says which is which for every bucket.
 */
import uPlot from 'uplot';
import type { Series } from './series.ts';
import { colour } from './theme.ts';
import { clock, day, moment, number, short } from './words.ts';

const HEIGHT_PX = 300;
const NARROW_HEIGHT_PX = 220;
const NARROW_PX = 560;
const STRIP_PX = 4;
const BUCKET_SECONDS = { minute: 60, hour: 3_600, day: 86_400 };
/** Distances of dates below the chart, in seconds. */
const DAYS = [1, 2, 7, 14].map((days) => days * 86_400);
const FONT = '12px -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const stepped = uPlot.paths.stepped?.({ align: 1 });

export class Chart {
  readonly #place: HTMLElement;
  readonly #ads: readonly string[];
  readonly #bucketSeconds: number;
  readonly #plot: uPlot;
  readonly #resized: ResizeObserver;
  #series: Series | undefined;

  constructor(
    place: HTMLElement,
    ads: readonly string[],
    zone: string,
    granularity: keyof typeof BUCKET_SECONDS,
  ) {
    this.#place = place;
    this.#ads = ads;
    this.#bucketSeconds = BUCKET_SECONDS[granularity];
    const ink = colour('muted');
    const axis = {
      stroke: ink,
      font: FONT,
      grid: { stroke: colour('grid'), width: 1 },
      ticks: { show: false },
    };
    const words = granularity === 'day' ? day : granularity === 'hour' ? moment : clock;
    this.#plot = new uPlot(
      {
        ...this.#size(),
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), zone),
        legend: { show: false },
        padding: [12, 24, 0, 0],
        // A step belongs to the bucket in which it begins.
        cursor: {
          points: { size: 6 },
          drag: { x: false, y: false },
          dataIdx: (plot, _, __, seconds) => bucketAt(plot, seconds),
        },
        scales: {
          x: { range: (_, min, max) => [min, max] },
          y: { range: (_, __, max) => [0, Math.max(4, Math.ceil(max * 1.1))] },
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            gap: 10,
            ...(granularity === 'minute' ? {} : { incrs: DAYS }),
            size: 40,
            values: (_, splits) => {
              const isLong = (splits.at(-1) ?? 0) - (splits[0] ?? 0) > 86_400;
              return splits.map((seconds) => (isLong ? day : clock)(seconds * 1_000, zone));
            },
          },
          {
            ...axis,
            size: 46,
            incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7],
            values: (_, splits) => splits.map(short),
          },
        ],
        series: [
          {},
          ...ads.flatMap((ad, index) => {
            const stroke = colour(`ad-${index}`);
            const line = {
              label: ad,
              stroke,
              points: { show: false },
              ...(stepped ? { paths: stepped } : {}),
            };
            return [
              { ...line, width: 2, fill: colour(`ad-${index}-fill`) },
              { ...line, width: 1.5, dash: [4, 3] },
            ];
          }),
        ],
        hooks: {
          draw: [(plot) => this.#drawStrip(plot)],
          setCursor: [(plot) => this.#showTip(plot, (ms) => words(ms, zone))],
        },
      },
      [[0]],
      place,
    );
    this.#tip.className = 'tip';
    this.#tip.hidden = true;
    this.#plot.over.append(this.#tip);
    this.#resized = new ResizeObserver(() => this.#plot.setSize(this.#size()));
    this.#resized.observe(place);
  }

  readonly #tip = document.createElement('div');

  show(series: Series): void {
    this.#series = series;
    const { buckets, clicks } = series;
    const isIn = (at: number, isOpen: boolean) =>
      buckets[at] !== undefined && (buckets[at].status === 'PROVISIONAL') === isOpen;
    // The step of a bucket ends at the next point: a line has that one too, and after the last bucket comes one more.
    const line = (counts: readonly number[], isOpen: boolean) =>
      [...counts, counts.at(-1) ?? null].map((count, at) =>
        isIn(at, isOpen) || isIn(at - 1, isOpen) ? count : null,
      );
    const lines = this.#ads.flatMap((ad) => {
      const counts = clicks.get(ad) ?? [];
      return [line(counts, false), line(counts, true)];
    });
    const starts = buckets.map(({ startMs }) => startMs / 1_000);
    const last = starts.at(-1);
    const end = last === undefined ? [] : [last + this.#bucketSeconds];
    this.#plot.setData([[...starts, ...end], ...lines]);
  }

  destroy(): void {
    this.#resized.disconnect();
    this.#plot.destroy();
  }

  #size() {
    const width = Math.max(240, this.#place.clientWidth);
    return { width, height: width < NARROW_PX ? NARROW_HEIGHT_PX : HEIGHT_PX };
  }

  #drawStrip({ ctx, bbox, valToPos }: uPlot): void {
    const buckets = this.#series?.buckets ?? [];
    const height = STRIP_PX * devicePixelRatio;
    const colours = {
      PROVISIONAL: colour('provisional'),
      SETTLED: colour('settled'),
      FINAL: colour('final'),
    };
    for (const [at, { startMs, status }] of buckets.entries()) {
      const next = buckets[at + 1];
      const left = valToPos(startMs / 1_000, 'x', true);
      const right = next === undefined ? bbox.left + bbox.width : valToPos(next.startMs / 1_000, 'x', true);
      ctx.fillStyle = colours[status];
      ctx.fillRect(left, bbox.top + bbox.height + height, Math.max(1, right - left), height);
    }
  }

  #showTip(plot: uPlot, words: (ms: number) => string): void {
    const { left = -1 } = plot.cursor;
    const at = left < 0 ? -1 : bucketAt(plot, plot.posToVal(left, 'x'));
    const bucket = this.#series?.buckets[at];
    this.#tip.hidden = bucket === undefined;
    if (bucket === undefined) return;
    const title = document.createElement('b');
    title.textContent = `${words(bucket.startMs)} · ${bucket.status.toLowerCase()}`;
    const lines = this.#ads.map((ad, index) => {
      const line = document.createElement('span');
      line.className = `ad-${index}`;
      const name = document.createElement('span');
      name.textContent = ad;
      const count = document.createElement('b');
      count.textContent = number(this.#series?.clicks.get(ad)?.[at] ?? 0);
      line.append(document.createElement('i'), name, count);
      return line;
    });
    this.#tip.replaceChildren(title, ...lines);
    const isRight = left > plot.over.clientWidth / 2;
    this.#tip.style.left = isRight ? '' : `${left + 14}px`;
    this.#tip.style.right = isRight ? `${plot.over.clientWidth - left + 14}px` : '';
  }
}

/** The last bucket that begins at or before that moment. */
function bucketAt(plot: uPlot, seconds: number): number {
  const starts = plot.data[0];
  const next = starts.findIndex((start) => start > seconds);
  // After the last bucket comes one more point, which begins none.
  return Math.min(next < 0 ? starts.length : next, starts.length - 1) - 1;
}
