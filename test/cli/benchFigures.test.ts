/** What the bench makes of its rounds, and how it shows it. */
import { describe, expect, test } from 'vitest';
import { type Figure, ratio, spreadOf, verdictOf } from '../../src/cli/bench/figure.ts';
import {
  type BenchReport,
  renderReport,
  reportAsJson,
  reportAsMarkdown,
} from '../../src/cli/bench/report.ts';

const AT_LEAST = { sense: 'at least', floor: 2, goal: 4 } as const;
const AT_MOST = { sense: 'at most', floor: 25, goal: 10 } as const;
const figure = (goal: Figure['goal'], ...values: number[]): Figure => ({
  name: 'some figure',
  unit: 'times',
  values,
  ...(goal && { goal }),
});

describe('a figure', () => {
  test('is the median of its rounds, with the least and the most', () => {
    expect(spreadOf(figure(undefined, 5, 1, 3, 9, 2))).toEqual({ median: 3, min: 1, max: 9 });
  });

  test('is held against floor and goal by its median, the bounds included', () => {
    expect(verdictOf(figure(AT_LEAST, 9, 4, 1))).toBe('goal met');
    expect(verdictOf(figure(AT_LEAST, 9, 3.9, 1))).toBe('floor met');
    expect(verdictOf(figure(AT_LEAST, 9, 1.9, 1))).toBe('not met');
    expect(verdictOf(figure(AT_MOST, 1, 10, 90))).toBe('goal met');
    expect(verdictOf(figure(AT_MOST, 1, 25, 90))).toBe('floor met');
    expect(verdictOf(figure(AT_MOST, 1, 25.1, 90))).toBe('not met');
    expect(verdictOf(figure(undefined, 1))).toBeUndefined();
  });

  test('that is a ratio is one in each round: the median of the ratios is not the ratio of the medians', () => {
    const { values, unit } = ratio('a / b', [10, 40, 90], [10, 10, 45]);
    expect(values).toEqual([1, 4, 2]);
    expect(unit).toBe('times');
  });
});

describe('a report', () => {
  const report: BenchReport = {
    machine: { cores: '2', Bun: '1.4.5' },
    startedAt: '2026-11-22T12:00:00.000Z',
    tookMs: 65_000,
    rounds: 3,
    scale: 1,
    sections: [
      {
        letter: 'b',
        title: 'clicks',
        how: 'How it is.',
        leavesOut: 'The rest.',
        figures: [figure(AT_LEAST, 1, 3, 5)],
        processor: [
          {
            name: 'clicks',
            microseconds: [
              { postgres: 1, client: 2 },
              { postgres: 3, client: 2 },
            ],
          },
        ],
      },
      { letter: 'c', title: 'ads', how: '', leavesOut: '', figures: [], processor: [], failure: 'why' },
    ],
  };

  test('shows spread, floor, goal and verdict beside each figure, and the parts that failed', () => {
    const rows = renderReport(report)
      .split('\n')
      .map((line) => line.trim().split(/ {2,}/));
    expect(rows).toContainEqual([
      'b',
      'some figure',
      'times',
      '3.00',
      '1.00–5.00',
      '2.00',
      '4.00',
      'floor met',
    ]);
    expect(rows).toContainEqual(['c', 'FAILED, see below']);
    expect(rows).toContainEqual(['c failed: why']);
    expect(rows).toContainEqual(['processor time a click, µs', 'client', 'postgres']);
    expect(rows).toContainEqual(['b. clicks', '2.0', '2.0']);
  });

  test('in Markdown says what ran where, and what is not measured', () => {
    const lines = reportAsMarkdown(report).split('\n');
    expect(lines).toContain('| some figure | times | 3.00 | 1.00–5.00 | 2.00 | 4.00 | floor met |');
    expect(lines).toContain('| Bun | 1.4.5 |');
    expect(lines).toContain('| begun, took | 2026-11-22T12:00:00.000Z, 1 min 5 s |');
    expect(lines).toContain('Not measured: The rest.');
    expect(lines).toContain('**Failed:** why');
  });

  test('in JSON holds every round', () => {
    const { sections } = JSON.parse(reportAsJson(report));
    expect(sections[0].figures[0]).toEqual({
      name: 'some figure',
      unit: 'times',
      values: [1, 3, 5],
      goal: AT_LEAST,
      median: 3,
      min: 1,
      max: 5,
      verdict: 'floor met',
    });
  });
});
