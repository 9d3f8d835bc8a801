import { expect, test } from 'vitest';
import { ceiling, stack } from '../../src/chart/scale';
import type { Sample } from '../../src/console/answers';
import { Columns, keptSamples, merge } from '../../src/console/history';
import { sums } from '../../src/dashboard/sums';
import { ago, bytes, count, duration, short, word } from '../../src/format';

test('times and sizes for people', () => {
  expect([0, 0.009, 0.5, 3.756, 11.4, 163.4, 1500, 65_000].map(duration)).toEqual([
    '0 ms',
    '9 µs',
    '500 µs',
    '3.8 ms',
    '11.4 ms',
    '163 ms',
    '1.5 s',
    '65 s',
  ]);
  expect([0, 999, 1000, 61_000, 3_600_000, 90_061_000].map(ago)).toEqual([
    '0 s',
    '0 s',
    '1 s',
    '1 min 1 s',
    '1 h',
    '1 d 1 h',
  ]);
  expect([0, 1023, 1024, 1_258_291, 5_000_000_000].map(bytes)).toEqual([
    '0 B',
    '1023 B',
    '1 kB',
    '1.2 MB',
    '4.7 GB',
  ]);
  expect([count(1, 'row'), count(2, 'row'), count(0, 'entry', 'entries')]).toEqual([
    '1 row',
    '2 rows',
    '0 entries',
  ]);
  expect([short(12_345), short(6.45), short(0.999)]).toEqual(['12.3K', '6.5', '1']);
  expect(word('PENDING')).toBe('Pending');
});

test('an axis ends at a round number above', () => {
  expect([0, 1, 3, 9.9, 99, 101, 4000].map(ceiling)).toEqual([1, 2, 5, 10, 100, 200, 5000]);
});

test('stacked series lie on each other, with their gaps', () => {
  expect(
    stack([
      [1, 2, null],
      [1, null, 1],
      [2, 2, 2],
    ]),
  ).toEqual([
    [1, 2, null],
    [2, null, 1],
    [4, 2, 3],
  ]);
});

const sample = (at: number, more: Partial<Sample> = {}): Sample => {
  const nothing = { count: 0, p50: 0, p95: 0, p99: 0, max: 0 };
  return {
    at,
    connections: {},
    events: 0,
    delivered: 0,
    bells: 0,
    reads: 0,
    errors: 0,
    lag: nothing,
    fanOut: nothing,
    state: 'asleep',
    rounds: 0,
    behind: 0,
    ...more,
  };
};

test('samples are added once, and the oldest go', () => {
  const before = [sample(2000), sample(4000)];
  expect(merge(before, [sample(4000)])).toBe(before);
  expect(merge(before, [sample(4000), sample(6000)]).map((s) => s.at)).toEqual([2000, 4000, 6000]);
  const many = Array.from({ length: keptSamples + 10 }, (_, i) => sample(i + 1));
  expect(merge([], many)).toHaveLength(keptSamples);
});

test('where the server was away a line has a gap; where nothing was measured, too', () => {
  const c = new Columns(
    [
      sample(2000, { events: 1, connections: { sse: 1, websocket: 2 } }),
      sample(4000, { events: 2, lag: { count: 1, p50: 5, p95: 5, p99: 5, max: 5 } }),
      sample(20_000, { events: 3 }),
    ],
    2000,
  );
  expect(c.x).toEqual([2, 4, 6, 20]);
  expect(c.of((s) => s.events)).toEqual([1, 2, null, 3]);
  expect(c.delay('lag', 'p50')).toEqual([null, 5, null, null]);
  expect(c.doors()).toEqual(['websocket', 'sse']);
});

test('earnings add up in the order of the payouts', () => {
  const rows = [
    { id: 3, amount: 5, status: 'SCHEDULED' },
    { id: 1, amount: 10, status: 'PAID' },
    { id: 2, amount: 20, status: 'PAID' },
  ];
  expect(sums(rows, (r) => r.status === 'PAID')).toEqual({
    x: [1, 2, 3],
    all: [10, 30, 35],
    done: [10, 30, 30],
  });
  expect(sums([], () => true)).toEqual({ x: [], all: [], done: [] });
});
