import { Pgbell } from '@pgbell/client';
import { PgbellProvider, useBell, useNotifications, useRows, useSocket } from '@pgbell/react';
import { act, cleanup, render, renderHook } from '@testing-library/react';
import { type ReactNode, StrictMode, version } from 'react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeNetwork, paperToken } from '../../../testing/fake.js';

interface Booking {
  id: number;
  status: string;
}

let net: FakeNetwork;
let bell: Pgbell;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(1);
  vi.spyOn(console, 'error').mockImplementation((...what) => {
    throw new Error(what.join(' ')); // React's complaints are failures.
  });
  net = new FakeNetwork();
  bell = new Pgbell({ ...network(), token: () => paperToken('anna') });
});
afterEach(async () => {
  cleanup();
  await settle();
  vi.useRealTimers();
});

const network = () => ({ url: 'https://bell.example', WebSocket: net.WebSocket, fetch: net.fetch });
const settle = () => act(() => vi.advanceTimersByTimeAsync(0));
const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));
const provided = ({ children }: { children: ReactNode }) => (
  <StrictMode>
    <PgbellProvider client={bell}>{children}</PgbellProvider>
  </StrictMode>
);
async function live(userId = 'anna') {
  await settle();
  net.socket.open();
  await settle();
  const cursor = net.socket.last('authenticate').data.cursor ?? 'c0';
  act(() => net.socket.say('authenticated', { userId, roles: [] }, { cursor }));
}
const row = (id: number, status = 'PENDING'): Booking => ({ id, status });
const say = (type: string, op: string, id: number, data: unknown = null) =>
  act(() => net.socket.say(`${type}_update`, { id: 1, type, op, action: op, key: { id }, data }));

test('it is the React that is meant', () => {
  expect(version.split('.')[0]).toBe(process.env.REACT_MAJOR ?? '19');
});

describe('useSocket', () => {
  const user = () => ({
    userId: 'anna',
    role: 'CLIENT',
    token: paperToken('anna'),
    url: 'https://bell.example',
    options: { WebSocket: net.WebSocket, fetch: net.fetch },
  });

  test('goes from connecting to connected, and tells handlers', async () => {
    const heard: unknown[] = [];
    const { result, rerender } = renderHook(
      ({ n }) =>
        useSocket({
          ...user(),
          onBookingUpdate: (u) => heard.push([n, 'booking', u.action]),
          onLineItemUpdate: (u) => heard.push([n, 'line item', u.action]),
          onNotification: (m) => heard.push([n, m.title]),
          onReset: (r) => heard.push([n, r.reason]),
          onError: (e) => heard.push([n, e.code]),
        }),
      { wrapper: StrictMode, initialProps: { n: 1 } },
    );
    await settle();
    expect(net.sockets).toHaveLength(1);
    expect(result.current).toMatchObject({
      connected: false,
      connecting: true,
      isPolling: false,
      error: null,
    });
    await live();
    expect(result.current).toMatchObject({ connected: true, connecting: false, status: 'live' });
    say('booking', 'update', 1);
    rerender({ n: 2 });
    say('line_item', 'insert', 1);
    act(() => net.socket.say('notification', { id: 1, title: 'Hello', unread: 1 }));
    act(() => net.socket.say('reset', { reason: 'truncate' }));
    act(() => net.socket.drop(4003, 'forbidden'));
    expect(heard).toEqual([
      [1, 'booking', 'update'],
      [2, 'line item', 'insert'],
      [2, 'Hello'],
      [2, 'truncate'],
      [2, 'forbidden'],
    ]);
    expect(result.current).toMatchObject({
      connected: false,
      status: 'stopped',
      error: { code: 'forbidden' },
    });
    act(() => result.current.reconnect());
    await live();
    expect(result.current).toMatchObject({ connected: true, error: null });
  });

  test('shares one connection, until the last one goes', async () => {
    const a = renderHook(() => useSocket(user()), { wrapper: StrictMode });
    const b = renderHook(() => useSocket(user()));
    await live();
    expect(net.sockets).toHaveLength(1);
    expect([a, b].map((h) => h.result.current.connected)).toEqual([true, true]);
    a.unmount();
    await settle();
    expect(net.socket.closed).toBe(false);
    b.unmount();
    await settle();
    expect(net.socket.closed).toBe(true);
  });

  test('another user gets another connection, nobody none', async () => {
    const { result, rerender } = renderHook(
      ({ userId }: { userId: string | null }) =>
        useSocket({ ...user(), userId, token: userId && paperToken(userId) }),
      { initialProps: { userId: null as string | null } },
    );
    await settle();
    expect(net.sockets).toHaveLength(0);
    expect(result.current.status).toBe('idle');
    rerender({ userId: 'anna' });
    await live();
    rerender({ userId: 'bilal' });
    await settle();
    expect(net.sockets[0]?.closed).toBe(true);
    await live('bilal');
    expect(net.socket.last('authenticate').data.token).toBe(paperToken('bilal'));
    expect(result.current.state.userId).toBe('bilal');
    rerender({ userId: null });
    await settle();
    expect(net.socket.closed).toBe(true);
    expect(result.current.status).toBe('idle');
  });

  test('another token for the same user goes into the connection', async () => {
    const { rerender } = renderHook(({ token }) => useSocket({ ...user(), token }), {
      initialProps: { token: paperToken('anna') },
    });
    await live();
    const fresh = paperToken('anna', 7200);
    rerender({ token: fresh });
    await settle();
    expect(net.sockets).toHaveLength(1);
    expect(net.socket.sent.map((m) => m.data.token)).toEqual([paperToken('anna'), fresh]);
  });

  test('polls only if it may', async () => {
    net.webSockets = false;
    const refuse = async () => {
      await settle();
      net.request.json({ code: 'not_found', message: '', retryable: false }, 404);
      await settle();
    };
    const never = renderHook(() => useSocket({ ...user(), enablePolling: false }));
    await refuse();
    expect(never.result.current.status).toBe('offline');
    never.unmount();
    await settle();
    const may = renderHook(() => useSocket(user()));
    await refuse();
    net.request.json({ events: [], cursor: 'c0' });
    await settle();
    expect(may.result.current).toMatchObject({ isPolling: true, connected: true, status: 'polling' });
  });
});

describe('PgbellProvider', () => {
  test('makes one connection for all below, and closes it', async () => {
    const seen = new Set<unknown>();
    const Child = () => {
      seen.add(useBell());
      useSocket({ onBookingUpdate: () => {} });
      return null;
    };
    const App = ({ token }: { token: string }) => (
      <StrictMode>
        <PgbellProvider {...network()} token={token} userId="anna">
          <Child />
          <Child />
        </PgbellProvider>
      </StrictMode>
    );
    const { rerender, unmount } = render(<App token={paperToken('anna')} />);
    await live();
    expect(net.sockets).toHaveLength(1);
    rerender(<App token={paperToken('anna', 7200)} />);
    await settle();
    expect(net.sockets).toHaveLength(1);
    expect(net.socket.sent).toHaveLength(2);
    expect(seen.size).toBeLessThanOrEqual(2); // strict mode makes one for nothing
    unmount();
    await settle();
    expect(net.socket.closed).toBe(true);
  });

  test('asks the newest function for a token, and waits for a user', async () => {
    const asked: number[] = [];
    const App = ({ n }: { n: number }) => (
      <PgbellProvider
        {...network()}
        token={
          n === 0
            ? null
            : () => {
                asked.push(n);
                return paperToken('anna');
              }
        }
      />
    );
    const { rerender } = render(<App n={0} />);
    await settle();
    expect(net.sockets).toHaveLength(0);
    rerender(<App n={1} />);
    await live();
    rerender(<App n={2} />);
    await pass(6000);
    act(() => net.socket.drop(4002, 'token_expired'));
    await settle();
    expect(asked).toEqual([1, 2]);
  });

  test('is missed', () => {
    vi.mocked(console.error).mockImplementation(() => {});
    expect(() => renderHook(() => useBell())).toThrow('there is no <PgbellProvider>');
    expect(() => renderHook(() => useRows('booking'))).toThrow('useRows needs a <PgbellProvider>');
    expect(() => renderHook(() => useNotifications())).toThrow('needs a <PgbellProvider>');
  });
});

describe('useRows', () => {
  test('paints, follows, and stays through a reconnect', async () => {
    const { result } = renderHook(() => useRows<Booking>('booking'), { wrapper: provided });
    expect(result.current).toMatchObject({ rows: [], loading: true, error: null });
    await settle();
    expect(net.requests).toHaveLength(1);
    net.request.json({ rows: [row(1)], cursor: 'c5' });
    await live();
    await pass(100);
    expect(result.current).toMatchObject({ rows: [row(1)], loading: false, stale: false });
    say('booking', 'entered', 2, row(2));
    say('booking', 'left', 1);
    await pass(100);
    expect(result.current.rows).toEqual([row(2)]);
    act(() => net.socket.drop());
    await pass(100);
    expect(result.current).toMatchObject({ rows: [row(2)], loading: false, stale: true });
    await pass(500);
    await live();
    await pass(100);
    expect(result.current.stale).toBe(false);
    expect(net.requests).toHaveLength(1);
    act(() => result.current.reload());
    await settle();
    net.request.json({ rows: [row(3)], cursor: 'c9' });
    await pass(100);
    expect(result.current.rows).toEqual([row(3)]);
  });

  test('shares rows between components, and renders only on change', async () => {
    let renders = 0;
    const one = renderHook(
      () => {
        renders++;
        return useRows<Booking>('booking');
      },
      { wrapper: provided },
    );
    const two = renderHook(() => useRows<Booking>('booking'), { wrapper: provided });
    await settle();
    expect(net.requests).toHaveLength(1);
    net.request.json({ rows: [row(1)], cursor: 'c5' });
    await live();
    await pass(20);
    expect(one.result.current.rows).toBe(two.result.current.rows);
    const before = renders;
    say('payment', 'insert', 1, { id: 1 });
    act(() => net.socket.say('cursor', null, { cursor: 'c6' }));
    await pass(20);
    expect(renders).toBe(before);
  });

  test('another filter shows other rows', async () => {
    const { result, rerender } = renderHook(
      ({ status }) => useRows<Booking>('booking', { where: { status } }),
      {
        wrapper: provided,
        initialProps: { status: 'PENDING' },
      },
    );
    await settle();
    net.request.json({ rows: [row(1)], cursor: 'c5' });
    await pass(100);
    expect(result.current.rows).toEqual([row(1)]);
    rerender({ status: 'CONFIRMED' });
    expect(result.current).toMatchObject({ rows: [], loading: true });
    await settle();
    expect(net.request.url.search).toBe('?status=CONFIRMED');
    net.request.json({ rows: [row(2, 'CONFIRMED')], cursor: 'c6' });
    await pass(100);
    expect(result.current.rows).toEqual([row(2, 'CONFIRMED')]);
  });

  test('does nothing while it is not enabled', async () => {
    const { result, rerender } = renderHook(({ enabled }) => useRows('booking', { enabled }), {
      wrapper: provided,
      initialProps: { enabled: false },
    });
    await settle();
    expect(net.requests).toHaveLength(0);
    expect(result.current).toMatchObject({ loading: false, rows: [] });
    rerender({ enabled: true });
    await settle();
    expect(net.requests).toHaveLength(1);
  });

  test('keeps up with many events without a render for each', async () => {
    let renders = 0;
    const { result } = renderHook(
      () => {
        renders++;
        return useRows<Booking>('booking');
      },
      { wrapper: provided },
    );
    await settle();
    net.request.json({ rows: [], cursor: 'c5' });
    await live();
    const before = renders;
    for (let i = 0; i < 200; i++) {
      say('booking', 'insert', i, row(i));
      await pass(5);
    }
    await pass(20);
    expect(result.current.rows).toHaveLength(200);
    // Strict mode renders twice; a second has 62 frames.
    expect(renders - before).toBeLessThan(2 * 64);
  });
});

test('useNotifications', async () => {
  const { result } = renderHook(() => useNotifications(), { wrapper: provided });
  await settle();
  const note = { id: 1, level: 'info', title: 'a', message: '', createdAt: '', readAt: null };
  net.request.json({ notifications: [note], unread: 1, cursor: 'c0' });
  await live();
  expect(result.current).toMatchObject({ unread: 1, loading: false });
  act(() => net.socket.say('notification', { ...note, id: 2, unread: 2 }));
  expect(result.current).toMatchObject({ unread: 2, notifications: [{ id: 2 }, { id: 1 }] });
  let done: Promise<void> = Promise.resolve();
  act(() => {
    done = result.current.markAllRead();
  });
  expect(result.current.unread).toBe(0);
  await settle();
  net.request.json({ unread: 0 });
  await act(() => done);
  expect(result.current.unread).toBe(0);
});
