import { afterEach, expect, test, vi } from 'vitest';
import { Delays, type Line, Log, matches, pretty, read, visible, withoutSecrets } from '../../src/panel/log';

afterEach(() => vi.useRealTimers());

const line = (more: Partial<Line> = {}): Omit<Line, 'n'> => ({
  at: 0,
  kind: 'in',
  door: 'websocket',
  event: 'booking_update',
  text: '{"event":"booking_update"}',
  replayed: false,
  ...more,
});

test('a log tells of many lines at once, and keeps the newest', () => {
  vi.useFakeTimers();
  const log = new Log();
  const told = vi.fn();
  const stop = log.subscribe(told);
  for (let i = 0; i < 7000; i++) log.add(line());
  expect(told).not.toHaveBeenCalled();
  expect(log.lines()).toHaveLength(0);
  vi.advanceTimersByTime(100);
  expect(told).toHaveBeenCalledTimes(1);
  expect(log.lines()).toHaveLength(5000);
  expect(log.lines().at(-1)?.n).toBe(7000);
  expect(log.lines()).toBe(log.lines());
  log.clear();
  expect(log.lines()).toHaveLength(0);
  stop();
  log.add(line());
  vi.advanceTimersByTime(100);
  expect(told).toHaveBeenCalledTimes(2);
});

test('a filter looks at kinds and at the text', () => {
  const l = { ...line(), n: 1 };
  expect(matches(l, { kinds: ['in'], text: '' })).toBe(true);
  expect(matches(l, { kinds: ['out'], text: '' })).toBe(false);
  expect(matches(l, { kinds: ['in'], text: 'BOOKING' })).toBe(true);
  expect(matches(l, { kinds: ['in'], text: 'websocket' })).toBe(true);
  expect(matches(l, { kinds: ['in'], text: 'payment' })).toBe(false);
});

test('only what is seen is drawn', () => {
  expect(visible(0, 400, 20, 1000)).toEqual({ start: 0, end: 26 });
  expect(visible(10_000, 400, 20, 1000)).toEqual({ start: 494, end: 526 });
  expect(visible(10_000, 400, 20, 3)).toEqual({ start: 3, end: 3 });
  expect(visible(0, 400, 20, 0)).toEqual({ start: 0, end: 0 });
});

test('tokens do not stand in the log', () => {
  expect(withoutSecrets('{"event":"authenticate","data":{"token":"a.b.c","cursor":"C"}}')).toBe(
    '{"event":"authenticate","data":{"token":"…","cursor":"C"}}',
  );
  expect(withoutSecrets('message 0{"token": "a.b.c"}')).toBe('message 0{"token": "…"}');
  expect(withoutSecrets('message 0{"sid":"a","pid":"b"}')).toBe('message 0{"sid":"a","pid":"…"}');
  expect(withoutSecrets('pgbell.v1, bearer.a-b.c_d.e')).toBe('pgbell.v1, bearer.…');
  expect(withoutSecrets('Authorization: Bearer a.b.c')).toBe('Authorization: Bearer …');
});

test('events are read from envelopes and from streams', () => {
  expect(read('{"event":"ack","data":{"room":"r"}}')).toEqual({ event: 'ack', data: { room: 'r' } });
  expect(read('event: reset\ndata: {"reason":"epoch"}')).toEqual({
    event: 'reset',
    data: { reason: 'epoch' },
  });
  expect(read('event: x\ndata: {')).toEqual({ event: 'x' });
  expect(read('message 2["payout_update",{"at":"now"}]')).toEqual({
    event: 'payout_update',
    data: { at: 'now' },
  });
  expect(read('message 27["join_room",{}]').event).toBe('join_room');
  expect(read('message 2["cut')).toEqual({ event: '' });
  expect(read('42["a"]')).toEqual({ event: '' });
  expect(read('{"events":[],"cursor":"c"}').event).toBe('0 events');
  expect(read('{"events":[{"event":"a","data":{"at":"t"}}]}')).toEqual({ event: 'a', data: { at: 't' } });
  expect(read('{"events":[{"event":"a","data":{"at":"t"}},{"event":"b"}]}')).toEqual({
    event: '2 events',
    data: { at: 't' },
  });
  expect(read('null')).toEqual({ event: '' });
  expect(pretty('{"a":1}')).toBe('{\n  "a": 1\n}');
  expect(pretty('message 2["a"]')).toBe('message 2[\n  "a"\n]');
  expect(pretty('event: x\ndata: {"a":1}')).toBe('event: x\ndata: {\n  "a": 1\n}');
  expect(pretty('message 2["a')).toBe('message 2["a');
  expect(pretty('ping')).toBe('ping');
});

test('delays have quantiles, of the last ones', () => {
  const d = new Delays();
  expect(d.quantile(0.5)).toBeNull();
  for (let i = 1; i <= 100; i++) d.add(i);
  expect([d.quantile(0), d.quantile(0.5), d.quantile(0.95), d.quantile(1)]).toEqual([1, 50, 95, 100]);
  for (let i = 0; i < 2000; i++) d.add(7);
  expect(d.quantile(1)).toBe(7);
  expect(d.count).toBe(2100);
});
