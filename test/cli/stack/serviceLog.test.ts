import { expect, test } from 'vitest';
import { formatServiceLogLine, parseServiceLogLine } from '../../../src/cli/stack/serviceLog.ts';

const shown = (line: Record<string, unknown>) => {
  const parsed = parseServiceLogLine(JSON.stringify({ time: Date.UTC(2026, 10, 22, 12, 34, 56), ...line }));
  return parsed && formatServiceLogLine('actors', parsed);
};

test('a warning is one line: time, process, level, message and what it says besides', () => {
  expect(
    shown({ level: 40, pid: 7, hostname: 'h', name: 'actors', msg: 'shard lost', shard: 3, by: 'two words' }),
  ).toBe('12:34:56 actors warn shard lost shard=3 by="two words"');
});

test('of an error only its message is shown: its stack is in the log file', () => {
  expect(
    shown({ level: 50, msg: 'flush failed', err: { type: 'Error', message: 'no route', stack: 'at …' } }),
  ).toBe('12:34:56 actors error flush failed err="no route"');
});

test.each(['', 'plain text', '{"level":', '{"msg":"no level"}', '[1]', 'null'])(
  '%j is no log line',
  (line) => {
    expect(parseServiceLogLine(line)).toBeUndefined();
  },
);
