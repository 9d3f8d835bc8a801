import { liveRows, Pgbell, type RowsOptions } from '@pgbell/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeNetwork, paperToken } from '../../../testing/fake.js';

interface Booking {
  id: number;
  status: string;
}

let net: FakeNetwork;
let bell: Pgbell<{ booking: Booking }>;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(1);
  net = new FakeNetwork();
  bell = new Pgbell({
    url: 'https://bell.example',
    token: () => paperToken('anna'),
    WebSocket: net.WebSocket,
    fetch: net.fetch,
    doors: ['websocket'],
  });
});
afterEach(() => {
  bell.close();
  vi.useRealTimers();
});

const settle = () => vi.advanceTimersByTimeAsync(0);
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

function follow(options: RowsOptions<Booking> = {}) {
  const rows = liveRows(bell, 'booking', { throttle: 0, ...options });
  const stop = rows.subscribe(() => {});
  return {
    rows,
    stop,
    get ids() {
      return rows.getState().rows.map((r) => r.id);
    },
    get texts() {
      return rows.getState().rows.map((r) => `${r.id} ${r.status}`);
    },
  };
}
async function live(cursor?: string) {
  bell.connect();
  await settle();
  net.socket.open();
  await settle();
  const asked = net.socket.last('authenticate')?.data.cursor;
  net.socket.say('authenticated', { userId: 'anna', roles: [] }, { cursor: asked ?? cursor ?? 'c0' });
}
const row = (id: number, status = 'PENDING') => ({ id, status });
const say = (op: string, id: number, status?: string) =>
  net.socket.say('booking_update', {
    type: 'booking',
    op,
    action: op,
    key: { id },
    data: status ? row(id, status) : null,
  });

describe('painting', () => {
  test('comes first, and the stream starts at its cursor', async () => {
    const f = follow();
    bell.connect();
    await settle();
    net.socket.open();
    await settle();
    // The stream waits to hear where the rows stand.
    expect(net.socket.sent).toEqual([]);
    expect(f.rows.getState()).toMatchObject({ loading: true, stale: true, rows: [] });
    expect(net.request.url.pathname).toBe('/api/rows/booking');
    net.request.json({ type: 'booking', rows: [row(1), row(2)], cursor: 'c5' });
    await settle();
    expect(f.rows.getState()).toMatchObject({ loading: false, stale: true });
    expect(f.ids).toEqual([1, 2]);
    expect(net.socket.last('authenticate').data.cursor).toBe('c5');
    net.socket.say('authenticated', { userId: 'anna', roles: [] }, { cursor: 'c5' });
    expect(f.rows.getState().stale).toBe(false);
  });

  test('of several types waits for one position', async () => {
    follow();
    liveRows(bell as unknown as Pgbell, 'payment').subscribe(() => {});
    await settle();
    expect(net.requests.map((r) => r.url.pathname)).toEqual(['/api/rows/booking']);
    net.request.json({ rows: [], cursor: 'c5' });
    await settle();
    expect(net.requests.map((r) => r.url.pathname)).toEqual(['/api/rows/booking', '/api/rows/payment']);
    net.request.json({ rows: [], cursor: 'c6' });
    await settle();
    expect(bell.cursor).toBe('c5');
  });

  test('waits while the server chooses a position', async () => {
    bell.connect();
    await settle();
    net.socket.open();
    await settle();
    follow();
    await settle();
    expect(net.requests).toHaveLength(0);
    net.socket.say('authenticated', { userId: 'anna', roles: [] }, { cursor: 'c1' });
    await settle();
    expect(net.requests).toHaveLength(1);
    net.request.json({ rows: [], cursor: 'c9' });
    await settle();
    expect(bell.cursor).toBe('c1');
  });

  test('follows pages, with the filter', async () => {
    const f = follow({ where: { status: 'PENDING' } });
    await settle();
    expect(net.request.url.search).toBe('?status=PENDING');
    net.request.json({ rows: [row(1)], cursor: 'c1', next: 'n1' });
    await settle();
    expect(f.rows.getState().loading).toBe(true);
    expect(net.request.url.search).toBe('?status=PENDING&page=n1');
    net.request.json({ rows: [row(2)], cursor: 'c2' });
    await settle();
    expect(f.ids).toEqual([1, 2]);
    expect(bell.cursor).toBe('c1');
  });

  test('that fails is shown, and tried again', async () => {
    const f = follow();
    await settle();
    net.request.json({ code: 'unavailable', message: 'Later.', retryable: true }, 503);
    await settle();
    expect(f.rows.getState()).toMatchObject({
      loading: false,
      error: { code: 'unavailable', retryable: true },
    });
    await pass(1000);
    net.request.json({ rows: [row(1)], cursor: 'c1' });
    await settle();
    expect(f.rows.getState().error).toBeNull();
    expect(f.ids).toEqual([1]);
  });

  test('that cannot succeed is not tried again', async () => {
    const f = follow();
    await settle();
    net.request.json({ code: 'unknown_type', message: 'No.', retryable: false }, 404);
    await pass(600_000);
    expect(f.rows.getState().error?.code).toBe('unknown_type');
    expect(net.requests).toHaveLength(1);
  });

  test('that failed while nobody was signed in succeeds when somebody is', async () => {
    bell.setToken(() => null);
    const f = follow();
    bell.connect();
    await settle();
    expect(f.rows.getState().error?.code).toBe('auth_required');
    bell.setToken(() => paperToken('anna'));
    await live();
    await settle();
    net.request.json({ rows: [row(1)], cursor: 'c1' });
    await settle();
    expect(f.rows.getState()).toMatchObject({ error: null, rows: [row(1)] });
  });

  test('is bounded', async () => {
    const f = follow({ max: 2 });
    await settle();
    net.request.json({ rows: [row(1), row(2), row(3)], cursor: 'c1' });
    await settle();
    expect(f.rows.getState()).toMatchObject({ error: { code: 'too_many_rows' }, rows: [] });
  });

  test('asks with a new token if the old one has expired', async () => {
    const f = follow();
    await settle();
    net.request.json({ code: 'token_expired', message: '', retryable: false }, 401);
    await settle();
    net.request.json({ rows: [row(1)], cursor: 'c1' });
    await settle();
    expect(f.ids).toEqual([1]);
  });
});

describe('following', () => {
  async function following(options?: RowsOptions<Booking>, rows = [row(1), row(3)]) {
    const f = follow(options);
    await settle();
    net.request.json({ rows, cursor: 'c0' });
    await live();
    return f;
  }

  test('each op, in the order of the keys', async () => {
    const f = await following();
    say('insert', 10, 'PENDING');
    say('entered', 2, 'PENDING');
    say('update', 3, 'CONFIRMED');
    expect(f.texts).toEqual(['1 PENDING', '2 PENDING', '3 CONFIRMED', '10 PENDING']);
    say('delete', 1);
    say('left', 2);
    say('left', 77);
    net.socket.say('booking_update', { type: 'booking', op: 'publish', action: 'x', data: {} });
    expect(f.texts).toEqual(['3 CONFIRMED', '10 PENDING']);
  });

  test('a row that no longer fits the filter goes, and comes back', async () => {
    const f = await following({ where: { status: 'PENDING' } });
    say('update', 1, 'CONFIRMED');
    expect(f.ids).toEqual([3]);
    say('update', 1, 'PENDING');
    say('insert', 4, 'CONFIRMED');
    expect(f.ids).toEqual([1, 3]);
  });

  test('a reset fetches again; what comes meanwhile counts', async () => {
    const f = await following();
    net.socket.say('reset', { type: 'payment', reason: 'truncate' });
    await settle();
    expect(net.requests).toHaveLength(1);
    net.socket.say('reset', { reason: 'retention' }, { cursor: 'c9' });
    await settle();
    expect(f.rows.getState()).toMatchObject({ stale: true, loading: false });
    say('delete', 1);
    say('update', 3, 'CONFIRMED');
    say('insert', 4, 'PENDING');
    expect(f.texts).toEqual(['3 CONFIRMED', '4 PENDING']); // shown at once
    net.request.json({ rows: [row(1), row(2), row(3)], cursor: 'c10' }); // older than that
    await settle();
    expect(f.texts).toEqual(['2 PENDING', '3 CONFIRMED', '4 PENDING']);
    expect(f.rows.getState().stale).toBe(false);
  });

  test('a reset during a fetch begins it anew', async () => {
    const f = await following();
    net.socket.say('reset', { reason: 'truncate' });
    await settle();
    const first = net.request;
    net.socket.say('reset', { reason: 'truncate' });
    await settle();
    expect(net.request).not.toBe(first);
    first.json({ rows: [row(8)], cursor: 'c1' });
    await settle();
    expect(f.ids).toEqual([1, 3]);
    net.request.json({ rows: [row(9)], cursor: 'c2' });
    await settle();
    expect(f.ids).toEqual([9]);
  });

  test('another user sees nothing of the one before', async () => {
    const f = await following();
    bell.setToken(() => paperToken('bilal'));
    await settle();
    net.socket.say('authenticated', { userId: 'bilal', roles: [] }, { cursor: 'c20' });
    expect(f.rows.getState()).toMatchObject({ rows: [], loading: true });
  });

  test('a reconnect neither empties nor fetches', async () => {
    const f = await following();
    const { rows } = f.rows.getState();
    net.socket.drop();
    expect(f.rows.getState()).toMatchObject({ stale: true, loading: false });
    await pass(500);
    await live();
    expect(f.rows.getState().stale).toBe(false);
    expect(f.rows.getState().rows).toBe(rows);
    expect(net.requests).toHaveLength(1);
  });

  test('tells at once, then at most once a frame', async () => {
    const f = await following({ throttle: 16 });
    await pass(100);
    let told = 0;
    f.rows.subscribe(() => told++);
    for (let i = 100; i < 300; i++) say('insert', i, 'PENDING');
    expect(told).toBe(1);
    await pass(16);
    expect(told).toBe(2);
    expect(f.ids).toHaveLength(202);
  });
});

test('the same rows are one store, which forgets when nobody looks', async () => {
  const a = follow({ where: { status: 'PENDING' } });
  const b = follow({ where: { status: 'PENDING' } });
  expect(a.rows).toBe(b.rows);
  expect(follow({ where: { status: 'X' } }).rows).not.toBe(a.rows);
  a.stop();
  b.stop();
  const c = follow({ where: { status: 'PENDING' } });
  await settle();
  expect(net.requests).toHaveLength(1);
  c.stop();
  c.stop();
  await settle();
  expect(c.rows.getState()).toMatchObject({ rows: [], loading: true });
});
