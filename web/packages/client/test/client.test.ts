import { type Options, Pgbell, type Phase, type Status } from '@pgbell/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeNetwork, paperToken } from '../../../testing/fake.js';

/** Where each phase may lead: the drawing in src/state.ts. */
const transitions: Readonly<Record<Phase, readonly Phase[]>> = {
  idle: ['connecting'],
  connecting: ['open', 'waiting', 'stopped', 'idle', 'connecting'],
  open: ['waiting', 'connecting', 'stopped', 'idle'],
  waiting: ['connecting', 'idle'],
  stopped: ['connecting', 'idle'],
};

let net: FakeNetwork;
let phases: [Phase, Phase][];
let statuses: Status[];

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-01-01T00:00:00Z') });
  vi.spyOn(Math, 'random').mockReturnValue(1);
  net = new FakeNetwork();
  phases = [];
  statuses = [];
});
afterEach(() => {
  for (const [from, to] of phases) expect(transitions[from]).toContain(to);
  vi.useRealTimers();
});

function make(options: Partial<Options> = {}): Pgbell {
  const bell = new Pgbell({
    url: 'https://bell.example/base',
    token: () => paperToken('anna'),
    WebSocket: net.WebSocket,
    fetch: net.fetch,
    trace: { phase: (from, to) => phases.push([from, to]) },
    ...options,
  });
  bell.on('state', (s) => statuses.at(-1) === s.status || statuses.push(s.status));
  return bell;
}

/** Lets everything happen that needs no time. */
const settle = () => vi.advanceTimersByTimeAsync(0);
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const session = (more: object = {}) => ({
  userId: 'anna',
  roles: ['CLIENT'],
  session: 's',
  expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
  recovered: false,
  ...more,
});

async function live(bell: Pgbell, cursor = 'c0'): Promise<void> {
  bell.connect();
  await settle();
  net.socket.open();
  await settle();
  net.socket.say('authenticated', session(), { cursor });
}
const update = (id: number) => ({ id, type: 'booking', op: 'update', action: 'updated', key: { id } });

describe('connecting', () => {
  test('the token goes in the first message', async () => {
    const bell = make();
    await live(bell);
    expect(net.socket.url).toBe('wss://bell.example/base/ws');
    expect(net.socket.protocols).toBe('pgbell.v1');
    expect(net.socket.sent).toEqual([{ event: 'authenticate', data: { token: paperToken('anna') } }]);
    expect(bell.getState()).toMatchObject({
      status: 'live',
      connected: true,
      door: 'websocket',
      userId: 'anna',
    });
    expect(statuses).toEqual(['connecting', 'live']);
  });

  test('it is not live before the server says so', async () => {
    const bell = make();
    bell.connect();
    await settle();
    net.socket.open();
    await settle();
    expect(bell.getState().status).toBe('connecting');
    net.socket.say('authenticated', session(), { cursor: 'c0' });
    net.socket.say('stream', { live: false });
    expect(bell.getState()).toMatchObject({ status: 'offline', connected: false });
    net.socket.say('stream', { live: true });
    expect(bell.getState().status).toBe('live');
  });

  test('close() in any phase ends everything', async () => {
    const bell = make();
    bell.connect();
    bell.close();
    await settle();
    expect(net.sockets).toHaveLength(0);
    await live(bell);
    bell.close();
    expect(net.socket.closed).toBe(true);
    bell.connect();
    await settle();
    net.socket.drop();
    bell.close();
    await pass(600_000);
    expect(net.sockets).toHaveLength(2);
    expect(bell.getState()).toMatchObject({ status: 'idle', error: null });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('an attempt without an answer ends', async () => {
    const bell = make({ doors: ['websocket'] });
    bell.connect();
    await settle();
    await pass(10_000);
    expect(bell.getState()).toMatchObject({ status: 'offline', failures: 1 });
    expect(bell.getState().error?.code).toBe('timeout');
    await pass(500);
    net.socket.open();
    await pass(10_000);
    expect(bell.getState()).toMatchObject({ status: 'offline', failures: 2 });
    bell.close();
  });
});

describe('events', () => {
  test('are told once, by type and together, and move the cursor', async () => {
    const bell = make();
    const heard: string[] = [];
    bell.on('booking_update', (u) => heard.push(`booking ${u.id}`));
    bell.on('update', (u) => heard.push(`any ${u.id} ${bell.cursor}`));
    bell.on('reset', (r) => heard.push(`reset ${r.reason}`));
    await live(bell);
    net.socket.say('booking_update', update(1), { cursor: 'c1' });
    net.socket.say('payment_update', update(2), { cursor: 'c2' });
    net.socket.say('cursor', null, { cursor: 'c3' });
    net.socket.say('reset', { reason: 'truncate' }, { cursor: 'c4' });
    net.socket.say('never_heard_of', {}, { cursor: 'c5' });
    expect(heard).toEqual(['booking 1', 'any 1 c0', 'any 2 c1', 'reset truncate']);
    expect(bell.cursor).toBe('c5');
  });

  test('a listener that fails disturbs nobody', async () => {
    const shown = vi.spyOn(console, 'error').mockImplementation(() => {});
    const bell = make();
    const heard: unknown[] = [];
    bell.on('booking_update', () => {
      throw new Error('mine');
    });
    const stop = bell.on('booking_update', (u) => heard.push(u.id));
    await live(bell);
    net.socket.say('booking_update', update(1), { cursor: 'c1' });
    stop();
    net.socket.say('booking_update', update(2), { cursor: 'c2' });
    expect(heard).toEqual([1]);
    expect(bell.cursor).toBe('c2');
    expect(shown).toHaveBeenCalledTimes(2);
  });

  test('an old connection says nothing more', async () => {
    const bell = make();
    const heard: unknown[] = [];
    bell.on('update', (u) => heard.push(u.id));
    await live(bell);
    const old = net.socket;
    const { onmessage } = old;
    bell.reconnect();
    await settle();
    expect(old.onmessage).toBeNull();
    onmessage?.({ data: JSON.stringify({ event: 'booking_update', data: update(1), cursor: 'c9' }) });
    expect(heard).toEqual([]);
    expect(bell.cursor).toBe('c0');
  });
});

describe('reconnecting', () => {
  test('resumes with the last cursor', async () => {
    const bell = make();
    await live(bell);
    net.socket.say('booking_update', update(1), { cursor: 'c1' });
    net.socket.drop();
    expect(bell.getState()).toMatchObject({ status: 'connecting', connected: false });
    await pass(500);
    net.socket.open();
    await settle();
    expect(net.socket.last('authenticate').data.cursor).toBe('c1');
  });

  test('backs off exponentially, with full jitter, up to a bound', async () => {
    const bell = make({ doors: ['websocket'] });
    const random = vi.mocked(Math.random).mockReturnValue(0.5);
    bell.connect();
    const delays: number[] = [];
    for (let i = 0; i < 9; i++) {
      await settle();
      net.socket.drop();
      const { retryAt } = bell.getState();
      delays.push((retryAt ?? Number.NaN) - Date.now());
      await pass(delays.at(-1) as number);
    }
    expect(delays).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
    expect(random).toHaveBeenCalled();
  });

  test('starts the back-off anew only when the connection has been healthy', async () => {
    const bell = make();
    const again = async (lasting: number) => {
      net.socket.open();
      await settle();
      net.socket.say('authenticated', session(), { cursor: 'c0' });
      await pass(lasting);
      net.socket.drop();
      const delay = (bell.getState().retryAt ?? Number.NaN) - Date.now();
      await pass(delay);
      return delay;
    };
    bell.connect();
    await settle();
    expect(await again(6000)).toBe(500);
    expect(await again(4000)).toBe(1000);
    expect(await again(4000)).toBe(2000);
    expect(await again(6000)).toBe(500);
  });

  test('reconnect() shortens any wait', async () => {
    const bell = make({ doors: ['websocket'] });
    bell.connect();
    await settle();
    net.socket.drop(4009);
    bell.reconnect();
    await settle();
    expect(net.sockets).toHaveLength(2);
  });
});

describe('close codes', () => {
  const cases: [code: number, reason: string, phase: string, wait: number, error: string][] = [
    [1001, 'retry-after-ms=1730', 'connecting', 1730, 'going_away'],
    [1006, '', 'connecting', 500, 'connection_lost'],
    [1011, '', 'connecting', 500, 'connection_lost'],
    [1013, 'unavailable', 'connecting', 500, 'unavailable'],
    [4003, 'forbidden', 'stopped', -1, 'forbidden'],
    [4008, 'too_slow', 'connecting', 500, 'too_slow'],
    [4009, 'rate_limited', 'offline', 5500, 'rate_limited'],
    [4009, 'too_many_connections', 'offline', 5500, 'too_many_connections'],
    [4010, 'token_revoked', 'stopped', -1, 'token_revoked'],
    [4999, 'something_new', 'connecting', 500, 'something_new'],
  ];
  test.each(cases)('%i %s', async (code, reason, status, wait, error) => {
    const bell = make();
    await live(bell);
    await pass(6000);
    net.socket.drop(code, reason);
    expect(bell.getState().status).toBe(status);
    expect(bell.getState().error?.code).toBe(error);
    if (wait < 0) {
      await pass(600_000);
      expect(net.sockets).toHaveLength(1);
      return;
    }
    await pass(wait - 1);
    expect(net.sockets).toHaveLength(1);
    await pass(1);
    expect(net.sockets).toHaveLength(2);
  });

  test.each([4001, 4002])('%i asks for another token at once and resumes', async (code) => {
    const token = vi.fn(() => paperToken('anna'));
    const bell = make({ token });
    await live(bell, 'c7');
    await pass(6000);
    net.socket.drop(code, code === 4002 ? 'token_expired' : 'token_invalid');
    await settle();
    expect(token).toHaveBeenCalledTimes(2);
    net.socket.open();
    await settle();
    expect(net.socket.last('authenticate').data.cursor).toBe('c7');
  });

  test('a new token that is refused, too, stops it', async () => {
    const token = vi.fn(() => paperToken('anna'));
    const bell = make({ token });
    bell.connect();
    for (let i = 0; i < 2; i++) {
      await settle();
      net.socket.open();
      await settle();
      net.socket.say('auth_error', { code: 'token_invalid', message: 'No.', retryable: false });
      net.socket.drop(4001, 'token_invalid');
    }
    expect(bell.getState()).toMatchObject({ status: 'stopped' });
    expect(bell.getState().error).toMatchObject({ code: 'token_invalid', message: 'No.', retryable: true });
    expect(token).toHaveBeenCalledTimes(2);
    bell.setToken(() => paperToken('anna', 60));
    await settle();
    expect(net.sockets).toHaveLength(3);
  });

  test('a token that cannot be replaced stops it', async () => {
    const bell = make({ token: paperToken('anna') });
    await live(bell);
    net.socket.drop(4002, 'token_expired');
    expect(bell.getState()).toMatchObject({ status: 'stopped' });
  });

  test('4001 for lateness is no verdict on the token', async () => {
    const bell = make({ token: paperToken('anna'), doors: ['websocket'] });
    bell.connect();
    await settle();
    net.socket.drop(4001, 'auth_timeout');
    expect(bell.getState().status).toBe('offline');
    await pass(500);
    expect(net.sockets).toHaveLength(2);
  });

  test('tokens that end at once are asked for with back-off', async () => {
    const token = vi.fn(() => paperToken('anna'));
    const bell = make({ token, doors: ['websocket'] });
    bell.connect();
    for (let i = 0; i < 200; i++) {
      await pass(50);
      if (net.socket.closed) continue;
      net.socket.open();
      await settle();
      net.socket.say('authenticated', session(), { cursor: 'c0' });
      net.socket.drop(4002, 'token_expired');
    }
    expect(token.mock.calls.length).toBeLessThan(8);
  });
});

describe('tokens', () => {
  test('are renewed in the connection before they expire', async () => {
    const token = vi.fn(() => paperToken('anna', 600));
    const bell = make({ token });
    bell.connect();
    await settle();
    net.socket.open();
    await settle();
    net.socket.say('authenticated', session({ expiresAt: new Date(Date.now() + 600_000).toISOString() }), {
      cursor: 'c0',
    });
    // Half a minute of silence at most: the server answers pings.
    for (let t = 0; t < 540; t += 10) {
      await pass(10_000);
      net.socket.say('cursor', null, { cursor: 'c1' });
    }
    expect(token).toHaveBeenCalledTimes(2);
    expect(net.sockets).toHaveLength(1);
    expect(net.socket.last('authenticate').data).toEqual({ token: paperToken('anna', 600) });
    expect(statuses).toEqual(['connecting', 'live']);
  });

  test('a source that fails is asked again while the old token is good', async () => {
    let calls = 0;
    const bell = make({
      token: () => {
        if (++calls === 2) throw new Error('the login is away');
        return paperToken('anna', 100);
      },
    });
    bell.connect();
    await settle();
    net.socket.open();
    await settle();
    net.socket.say('authenticated', session({ expiresAt: new Date(Date.now() + 100_000).toISOString() }), {
      cursor: 'c0',
    });
    for (let t = 0; t < 95; t += 5) {
      await pass(5000);
      net.socket.say('cursor', null, { cursor: 'c1' });
    }
    expect(calls).toBe(3);
    expect(statuses).toEqual(['connecting', 'live']);
    expect(bell.stats()).toMatchObject({ totalErrors: 1, mostCommonError: 'token_unavailable' });
  });

  test('a source that fails at first is asked again with back-off', async () => {
    const token = vi.fn(async () => {
      throw new Error('the login is away');
    });
    const bell = make({ token });
    bell.connect();
    await pass(10_000);
    expect(token.mock.calls.length).toBe(5); // after 0, 0.5, 1.5, 3.5 and 7.5 seconds
    expect(bell.getState()).toMatchObject({ status: 'offline', failures: 5 });
    expect(bell.getState().error?.code).toBe('token_unavailable');
    expect(net.sockets).toHaveLength(0);
    bell.close();
  });

  test('nobody signed in stops it', async () => {
    const bell = make({ token: () => null });
    bell.connect();
    await settle();
    expect(bell.getState()).toMatchObject({ status: 'stopped', error: { code: 'auth_required' } });
  });

  test.each([
    ['fast', 30 * 60_000],
    ['slow', -30 * 60_000],
  ])('a clock that is %s by half an hour asks for no more tokens than needed', async (_, skew) => {
    const token = vi.fn(() => paperToken('anna', 600, Date.now() - skew));
    const bell = make({ token });
    bell.connect();
    await settle();
    net.socket.open();
    await settle();
    const admit = () =>
      net.socket.say(
        'authenticated',
        session({ expiresAt: new Date(Date.now() - skew + 600_000).toISOString() }),
        {
          cursor: 'c0',
        },
      );
    admit();
    let sent = net.socket.sent.length;
    for (let t = 0; t < 1800; t += 10) {
      await pass(10_000);
      net.socket.say('cursor', null, { cursor: 'c1' });
      if (net.socket.sent.length > sent) admit();
      sent = net.socket.sent.length;
    }
    expect(token.mock.calls.length).toBeLessThanOrEqual(5);
  });

  test('another user starts anew', async () => {
    const bell = make();
    const resets: string[] = [];
    bell.on('reset', (r) => resets.push(r.reason));
    await live(bell);
    bell.setToken(() => paperToken('bilal'));
    await settle();
    expect(net.socket.last('authenticate').data).toEqual({ token: paperToken('bilal') });
    net.socket.say('authenticated', session({ userId: 'bilal' }), { cursor: 'c8' });
    expect(resets).toEqual(['user']);
    expect(bell.cursor).toBe('c8');
    bell.setToken(() => paperToken('bilal'));
    await settle();
    net.socket.say('authenticated', session({ userId: 'bilal', roles: ['ADMIN'] }));
    expect(resets).toEqual(['user', 'roles']);
  });
});

describe('dead connections', () => {
  test('are found by asking', async () => {
    const bell = make();
    await live(bell);
    await pass(24_999);
    expect(net.socket.last('ping')).toBeUndefined();
    await pass(1);
    const { id } = net.socket.last('ping');
    net.socket.say('error', { code: 'unknown_event', message: '', retryable: false }, { id });
    await pass(10_000);
    expect(bell.getState().status).toBe('live');
    await pass(25_000);
    expect(net.socket.sent.filter((m) => m.event === 'ping')).toHaveLength(2);
    await pass(10_000);
    expect(bell.getState().error?.code).toBe('no_heartbeat');
    expect(bell.stats().totalErrors).toBe(1);
  });
});

describe('the page', () => {
  let page: EventTarget;
  beforeEach(() => {
    page = new EventTarget();
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
    vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
  });
  afterEach(() => vi.unstubAllGlobals());

  test('tries at once when the network is back', async () => {
    const bell = make({ doors: ['websocket'], backoffMin: 20_000 });
    bell.connect();
    await settle();
    net.socket.drop();
    await pass(100);
    page.dispatchEvent(new Event('online'));
    await settle();
    expect(net.sockets).toHaveLength(2);
    bell.close();
    page.dispatchEvent(new Event('online'));
    await settle();
    expect(net.sockets).toHaveLength(2);
  });

  test('keeps to a pause that the server asked for', async () => {
    const bell = make();
    await live(bell);
    net.socket.drop(1001, 'retry-after-ms=9000');
    page.dispatchEvent(new Event('online'));
    await pass(8999);
    expect(net.sockets).toHaveLength(1);
    await pass(1);
    expect(net.sockets).toHaveLength(2);
  });

  test('makes sure of its connection after it has slept', async () => {
    const bell = make();
    await live(bell);
    vi.setSystemTime(Date.now() + 600_000);
    page.dispatchEvent(new Event('pageshow'));
    expect(net.socket.last('ping')).toBeDefined();
    // Whatever else wakes it meanwhile does not put the verdict off.
    await pass(9000);
    page.dispatchEvent(new Event('online'));
    await pass(1000);
    expect(bell.getState().error?.code).toBe('no_heartbeat');
  });

  test('sees by the clock that the machine has slept', async () => {
    const bell = make();
    await live(bell);
    await pass(10_000);
    expect(net.socket.last('ping')).toBeUndefined();
    vi.setSystemTime(Date.now() + 600_000);
    await pass(5000);
    expect(net.socket.last('ping')).toBeDefined();
  });
});

describe('the cursor in storage', () => {
  test('goes on where the page before was', async () => {
    const kept = new Map<string, string>();
    const storage = {
      getItem: (k: string) => kept.get(k) ?? null,
      setItem: vi.fn((k: string, v: string) => void kept.set(k, v)),
      removeItem: (k: string) => void kept.delete(k),
    };
    const first = make({ storage, storageKey: 'k' });
    await live(first);
    for (let i = 1; i <= 100; i++) net.socket.say('booking_update', update(i), { cursor: `c${i}` });
    await pass(250);
    expect(storage.setItem).toHaveBeenCalledTimes(1);
    net.socket.say('booking_update', update(101), { cursor: 'c101' });
    first.close();
    expect(kept.get('k')).toBe('c101');
    const second = make({ storage, storageKey: 'k' });
    second.connect();
    await settle();
    net.socket.open();
    await settle();
    expect(net.socket.last('authenticate').data.cursor).toBe('c101');
  });

  test('is done without where storage is off', async () => {
    const off = () => {
      throw new Error('SecurityError');
    };
    const bell = make({ storage: { getItem: off, setItem: off, removeItem: off } });
    await live(bell);
    await pass(1000);
    expect(bell.getState().status).toBe('live');
  });
});

describe('rooms', () => {
  test('are joined again in each session', async () => {
    const bell = make();
    const joined = bell.join('lobby');
    await live(bell);
    const ack = () => {
      const { id, data } = net.socket.last('join_room');
      net.socket.say('ack', data, { id });
    };
    ack();
    await joined;
    net.socket.drop();
    await pass(500);
    net.socket.open();
    await settle();
    net.socket.say('authenticated', session(), { cursor: 'c0' });
    expect(net.socket.last('join_room').data).toEqual({ room: 'lobby' });
    ack();
    const left = bell.leave('lobby');
    net.socket.say('ack', {}, { id: net.socket.last('leave_room').id });
    await left;
    net.socket.drop();
    await pass(1000);
    net.socket.open();
    await settle();
    net.socket.say('authenticated', session(), { cursor: 'c0' });
    expect(net.socket.last('join_room')).toBeUndefined();
  });

  test('that are refused are not asked for again', async () => {
    const bell = make();
    await live(bell);
    const joined = bell.join('vault');
    net.socket.say(
      'error',
      { code: 'room_forbidden', message: 'No.', retryable: false },
      {
        id: net.socket.last('join_room').id,
      },
    );
    await expect(joined).rejects.toMatchObject({
      code: 'room_forbidden',
      retryable: false,
      strategy: 'none',
    });
    expect(bell.getState().status).toBe('live');
    const waiting = bell.join('lobby');
    bell.close();
    await expect(waiting).rejects.toMatchObject({ code: 'closed' });
  });
});

describe('statistics', () => {
  test('count errors by code, retryable and recent ones', async () => {
    const bell = make({ doors: ['websocket'] });
    expect(bell.stats()).toMatchObject({
      totalErrors: 0,
      recentErrors: 0,
      retryableErrors: 0,
      mostCommonError: null,
    });
    bell.connect();
    for (let i = 0; i < 3; i++) {
      await settle();
      net.socket.drop();
      bell.reconnect();
    }
    await settle();
    net.socket.open();
    await pass(400_000);
    net.socket.drop(4003, 'forbidden');
    expect(bell.stats().byCode.network).toBeGreaterThanOrEqual(3);
    bell.close();
    await pass(400_000);
    expect(bell.stats().recentErrors).toBe(0);
  });
});

test('retain() keeps the connection until the last one lets go', async () => {
  const bell = make();
  const a = bell.retain();
  const b = bell.retain();
  a();
  a();
  await settle();
  expect(bell.getState().status).toBe('connecting');
  b();
  const c = bell.retain();
  await settle();
  expect(bell.getState().status).toBe('connecting');
  c();
  await settle();
  expect(bell.getState().status).toBe('idle');
});
