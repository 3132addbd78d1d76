/** The demo's table: must never be larger than the terminal, or it could not be drawn over. */
import { describe, expect, it } from 'vitest';
import { type DemoState, renderDemo, renderTotals } from '../../src/cli/demo/demoTable.ts';
import { LiveCounter } from '../../src/cli/demo/liveCounts.ts';
import { SAMPLE_ADS } from '../../src/cli/demo/sampleAds.ts';
import type { QueryAggregatesResponse__Output } from '../../src/contract/generated/clickledger/v1/QueryAggregatesResponse.ts';

const START_MS = Date.UTC(2026, 0, 31, 23, 59, 50);
const AD_IDS = SAMPLE_ADS.map(({ ad_id }) => ad_id);

/** The query service: every ad has `gross` clicks, a tenth of them repeats; one more is defective. */
function counted(gross: number): QueryAggregatesResponse__Output {
  const rows = AD_IDS.map((adId) => ({
    ad_id: adId,
    from_ms: 0,
    to_ms: 0,
    status: 'PROVISIONAL' as const,
    revision: 0,
    group: [],
    metrics: {
      gross_clicks: gross,
      clicks: gross * 0.9,
      repeat_clicks: gross * 0.1,
      general_invalid_clicks: 0,
      sophisticated_invalid_clicks: 0,
      defective_clicks: 1,
      test_clicks: 0,
    },
  }));
  const settled = { settled_through_ms: 0, final_through_ms: 0 };
  const info = { arrived_through_ms: START_MS, partial: true, missing_shards: [1, 2], ...settled };
  return { rows, info, next_page_token: '' };
}

async function stateAfter(...grosses: number[]): Promise<DemoState> {
  const answers = grosses.map(counted);
  const client = { queryAggregates: async () => answers.shift() ?? counted(0) };
  const counter = new LiveCounter(client, AD_IDS, START_MS);
  await counter.start(START_MS);
  let counts: DemoState['counts'];
  for (let second = 1; second < grosses.length; second += 1)
    counts = await counter.read(START_MS + second * 1_000);
  return {
    counts,
    sent: 5,
    failed: 2,
    nowMs: START_MS + 9_000,
    startMs: START_MS,
    trouble: 'something is wrong',
  };
}

describe('the table of the demo', () => {
  it.each([24, 30, 60, 14])('fits %i rows of 80 columns, whatever goes wrong', async (rows) => {
    const lines = renderDemo(await stateAfter(0, 999_990), rows)
      .split('\n')
      .map((line) => Bun.stripANSI(line));
    expect(lines.length).toBeLessThan(rows);
    expect(Math.max(...lines.map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(80);
    expect(lines.join('\n')).toContain('partial: no answer in time from shards 1, 2');
    expect(lines.at(-1)).toBe('something is wrong');
  });

  it('shows what was counted since the demo started, and at which rate', async () => {
    const lines = renderDemo(await stateAfter(100, 110, 150), 24)
      .split('\n')
      .map((line) => Bun.stripANSI(line));
    // 50 more than at the start; 40 in the second between the two readings.
    expect(lines[3]?.trim().split(/\s+/).slice(1, 7)).toEqual(['45', '50', '5', '0', '0', '2,400']);
    expect(lines.find((line) => line.startsWith('all ads'))).toMatch(
      /^all ads +900 +1,000 +100 +0 +0 +48,000$/,
    );
  });

  it('off a terminal is one line, where a click counted before its answer is no negative lag', async () => {
    const line = renderTotals(await stateAfter(0, 10));
    expect(line).toContain('sent 5, counted 200, lag 0, clicks 180, gross 200, repeat 20');
    expect(line).not.toContain('\n');
  });
});
