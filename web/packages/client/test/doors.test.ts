import { type Options, Pgbell, type Status } from '@pgbell/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeNetwork, paperToken } from '../../../testing/fake.js';
import { eventStreamParser, type ServerSentEvent } from '../src/sse.js';

let net: FakeNetwork;
let statuses: Status[];

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-01-01T00:00:00Z') });
  vi.spyOn(Math, 'random').mockReturnValue(1);
  net = new FakeNetwork();
  statuses = [];
});
afterEach(() => {
  vi.useRealTimers();
});

function make(options: Partial<Options> = {}): Pgbell {
  const bell = new Pgbell({
    url: 'https://bell.example',
    token: () => paperToken('anna'),
    WebSocket: net.WebSocket,
    fetch: net.fetch,
    ...options,
  });
  bell.on('state', (s) => statuses.at(-1) === s.status || statuses.push(s.status));
  return bell;
}

const settle = () => vi.advanceTimersByTimeAsync(0);
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const update = (id: number) => ({ id, type: 'booking', op: 'update', action: 'updated', key: { id } });
const hello = { userId: 'anna', roles: [], session: 's', expiresAt: '2026-01-01T01:00:00Z', recovered: true };
const sse = (event: string, data: unknown, id?: string) =>
  `event: ${event}\n${id ? `id: ${id}\n` : ''}data: ${JSON.stringify(data)}\n\n`;

/** A client for which WebSockets are blocked, live by server-sent events. */
async function streaming(options: Partial<Options> = {}) {
  net.webSockets = false;
  const bell = make(options);
  const heard: unknown[] = [];
  bell.on('update', (u) => heard.push(u.id));
  bell.connect();
  await settle();
  const stream = net.request.stream();
  stream.write(sse('authenticated', hello, 'c0'));
  await settle();
  return { bell, heard, stream };
}

/** A client for which only polling works. */
async function polling(options: Partial<Options> = {}) {
  net.webSockets = false;
  const bell = make({ doors: ['websocket', 'poll'], ...options });
  const heard: unknown[] = [];
  bell.on('update', (u) => heard.push(u.id));
  bell.connect();
  await settle();
  net.request.json({ events: [], cursor: 'c0' });
  await settle();
  return { bell, heard };
}

describe('server-sent events', () => {
  test('take over where WebSockets do not open', async () => {
    const { bell, heard, stream } = await streaming();
    expect(net.request.url.href).toBe('https://bell.example/api/events');
    expect(net.request.headers.get('Authorization')).toBe(`Bearer ${paperToken('anna')}`);
    expect(bell.getState()).toMatchObject({ status: 'live', door: 'sse', userId: 'anna', error: null });
    expect(statuses).toEqual(['connecting', 'live']);
    const text = sse('booking_update', update(1), 'c1') + sse('stream', { live: false });
    for (const letter of text) stream.write(letter);
    await settle();
    expect(heard).toEqual([1]);
    expect(bell.cursor).toBe('c1');
    expect(bell.getState().status).toBe('offline');
  });

  test('a stream that is cut resumes, and tries a WebSocket first', async () => {
    const { bell, stream } = await streaming();
    await pass(6000);
    stream.write(sse('booking_update', update(1), 'c1'));
    await settle();
    stream.end();
    await settle();
    expect(bell.getState().status).toBe('connecting');
    const before = net.sockets.length;
    await pass(500);
    expect(net.sockets.length).toBe(before + 1);
    expect(net.request.url.searchParams.get('cursor')).toBe('c1');
  });

  test('a stream that goes quiet is dead', async () => {
    const { bell, stream } = await streaming({ climbAfter: 10 ** 7 });
    await pass(30_000);
    stream.write(':\n\n');
    await pass(34_999);
    expect(bell.getState().status).toBe('live');
    await pass(1);
    expect(bell.getState().error?.code).toBe('no_heartbeat');
  });

  test('close says what comes next', async () => {
    const { bell, stream } = await streaming();
    await pass(6000);
    stream.write(sse('close', { code: 1001, reason: 'retry-after-ms=900' }));
    await settle();
    expect(bell.getState().error).toMatchObject({ code: 'going_away', after: 900 });
    const before = net.sockets.length;
    await pass(899);
    expect(net.sockets.length).toBe(before);
    await pass(1);
    expect(net.sockets.length).toBe(before + 1);
  });

  test('a new token takes a new request, unnoticed', async () => {
    const { bell } = await streaming({ token: () => paperToken('anna', 100), climbAfter: 10 ** 7 });
    const first = net.request;
    expect(first.aborted).toBe(false);
    await pass(30_000);
    const n = net.requests.length;
    // The server says when the token ends, which is an hour; so the client waits.
    expect(n).toBe(1);
    bell.setToken(() => paperToken('anna'));
    await settle();
    expect(first.aborted).toBe(true);
    expect(net.requests.length).toBe(2);
    expect(net.request.url.searchParams.get('cursor')).toBe('c0');
    net.request.stream().write(sse('authenticated', hello, 'c0'));
    await settle();
    expect(statuses).toEqual(['connecting', 'live']);
  });

  test('are refused by HTTP', async () => {
    net.webSockets = false;
    const bell = make({ doors: ['sse'], token: paperToken('anna') });
    bell.connect();
    await settle();
    net.request.json({ code: 'rate_limited', message: 'Slowly.', retryable: true, action: 'retry' }, 429, {
      'Retry-After': '7',
    });
    await settle();
    expect(bell.getState()).toMatchObject({
      status: 'offline',
      error: { code: 'rate_limited', after: 7000 },
    });
    await pass(7000);
    net.request.json({ code: 'account_closed', message: '', retryable: false, action: 'stop' }, 403);
    await settle();
    expect(bell.getState()).toMatchObject({
      status: 'stopped',
      error: { code: 'account_closed', retryable: false },
    });
  });
});

describe('polling', () => {
  test('takes over where nothing else works', async () => {
    net.webSockets = false;
    const bell = make();
    bell.connect();
    await settle();
    net.request.json({ code: 'not_found', message: '', retryable: false, action: 'poll' }, 404);
    await settle();
    net.request.json({ events: [], cursor: 'c0' });
    await settle();
    expect(bell.getState()).toMatchObject({ status: 'polling', connected: true, door: 'poll' });
    expect(bell.cursor).toBe('c0');
    expect(statuses).toEqual(['connecting', 'polling']);
  });

  test('lets the question wait at the server', async () => {
    const { bell, heard } = await polling({ climbAfter: 10 ** 7 });
    expect(Object.fromEntries(net.request.url.searchParams)).toEqual({ cursor: 'c0', wait: '25000ms' });
    await pass(20_000);
    net.request.json({ events: [{ event: 'booking_update', data: update(1), cursor: 'c1' }], cursor: 'c2' });
    await settle();
    expect(heard).toEqual([1]);
    expect(bell.cursor).toBe('c2');
    expect(net.request.url.searchParams.get('cursor')).toBe('c2');
    await pass(25_000);
    net.request.json({ events: [], cursor: 'c3' });
    await settle();
    expect(net.requests).toHaveLength(4);
  });

  test('asks once a minute where questions may not wait', async () => {
    const { bell } = await polling({ climbAfter: 10 ** 7 });
    await pass(5000);
    net.request.fail(); // a proxy cut it off
    await settle();
    expect(net.request.url.searchParams.has('wait')).toBe(false);
    net.request.json({ events: [], cursor: 'c1' });
    await settle();
    expect(bell.getState().status).toBe('polling');
    const n = net.requests.length;
    await pass(59_999);
    expect(net.requests.length).toBe(n);
    await pass(1);
    expect(net.requests.length).toBe(n + 1);
    expect(statuses).toEqual(['connecting', 'polling']);
  });

  test('does not hammer a server that lets nobody wait', async () => {
    await polling({ climbAfter: 10 ** 7 });
    net.request.json({ events: [], cursor: 'c0' });
    await settle();
    const n = net.requests.length;
    await pass(59_000);
    expect(net.requests.length).toBe(n);
  });

  test('asks again at once after events, for there may be more', async () => {
    const { heard } = await polling({ longPoll: 0, climbAfter: 10 ** 7, pollInterval: 30_000 });
    await pass(30_000);
    net.request.json({ events: [{ event: 'booking_update', data: update(1), cursor: 'c1' }], cursor: 'c1' });
    await settle();
    expect(net.request.url.searchParams.get('cursor')).toBe('c1');
    net.request.json({ events: [], cursor: 'c1' });
    await settle();
    expect(heard).toEqual([1]);
    expect(net.requests).toHaveLength(3);
  });

  test('that fails is offline', async () => {
    const { bell } = await polling({ longPoll: 0 });
    await pass(60_000);
    net.request.fail();
    await settle();
    await pass(500);
    net.request.fail();
    await settle();
    expect(bell.getState()).toMatchObject({ status: 'offline', connected: false });
    expect(bell.getState().error?.code).toBe('network');
  });

  test('takes a new token without a pause', async () => {
    const { bell } = await polling({ longPoll: 0, climbAfter: 10 ** 7 });
    const fresh = paperToken('anna', 7200);
    bell.setToken(() => fresh);
    await pass(60_000);
    expect(net.request.headers.get('Authorization')).toBe(`Bearer ${fresh}`);
  });

  test('asks a waiting question again with a new token', async () => {
    const { bell } = await polling({ climbAfter: 10 ** 7 });
    const waiting = net.request;
    const fresh = paperToken('anna', 7200);
    bell.setToken(() => fresh);
    await settle();
    expect(waiting.aborted).toBe(true);
    expect(net.request.headers.get('Authorization')).toBe(`Bearer ${fresh}`);
    expect(net.request.url.searchParams.get('cursor')).toBe('c0');
    expect(statuses).toEqual(['connecting', 'polling']);
  });
});

describe('falling back', () => {
  test('waits while a WebSocket that has worked may come back', async () => {
    const bell = make();
    bell.connect();
    await settle();
    net.socket.open();
    await settle();
    net.socket.say('authenticated', hello, { cursor: 'c0' });
    await pass(6000);
    net.webSockets = false;
    net.socket.drop();
    await pass(500);
    expect(net.requests).toHaveLength(0);
    expect(bell.getState().status).toBe('offline');
    await pass(1000);
    expect(net.requests).toHaveLength(1);
    expect(net.request.url.searchParams.get('cursor')).toBe('c0');
  });

  test('happens when WebSockets open but do not last', async () => {
    const bell = make();
    bell.connect();
    for (let i = 0; i < 3; i++) {
      await pass(2000);
      net.socket.open();
      await settle();
      net.socket.say('authenticated', hello, { cursor: 'c0' });
      await pass(1000);
      net.socket.drop();
    }
    await pass(4000);
    expect(net.sockets).toHaveLength(3);
    expect(net.requests).toHaveLength(1);
  });

  test('happens at once without a WebSocket', async () => {
    const bell = make({ WebSocket: undefined });
    vi.stubGlobal('WebSocket', undefined);
    const plain = new Pgbell({ url: 'https://bell.example', token: 't', fetch: net.fetch });
    plain.connect();
    await settle();
    vi.unstubAllGlobals();
    expect(net.requests).toHaveLength(1);
    expect(plain.stats().mostCommonError).toBe('no_websocket');
    plain.close();
    bell.close();
  });
});

describe('climbing back', () => {
  test('changes over without a gap, a duplicate, or a flicker', async () => {
    const { bell, heard, stream } = await streaming();
    await pass(6000);
    net.webSockets = true;
    await pass(4000);
    const probe = net.socket;
    stream.write(sse('booking_update', update(1), 'c1'));
    await settle();
    expect(heard).toEqual([1]);
    probe.open();
    expect(net.request.aborted).toBe(true);
    await settle();
    expect(probe.last('authenticate').data.cursor).toBe('c1');
    probe.say('authenticated', hello, { cursor: 'c1' });
    probe.say('booking_update', update(2), { cursor: 'c2' });
    expect(heard).toEqual([1, 2]);
    expect(bell.getState()).toMatchObject({ status: 'live', door: 'websocket' });
    expect(statuses).toEqual(['connecting', 'live']);
  });

  test('is tried less and less often', async () => {
    const { bell } = await polling({ longPoll: 0 });
    const tried: number[] = [];
    let n = net.sockets.length;
    for (let s = 0; s < 1200; s++) {
      await pass(1000);
      for (; n < net.sockets.length; n++) tried.push(s + 1);
      const { request } = net;
      if (!request.aborted) request.json({ events: [], cursor: 'c0' });
    }
    expect(tried).toEqual([10, 30, 70, 150, 310, 610, 910]);
    expect(bell.getState().status).toBe('polling');
    expect(statuses).toEqual(['connecting', 'polling']);
  });

  test('goes back to what worked if the WebSocket opens and says nothing', async () => {
    const { bell } = await polling({ longPoll: 0 });
    net.webSockets = true;
    await pass(10_000);
    net.socket.open();
    await pass(10_000);
    net.request.json({ events: [], cursor: 'c0' });
    await settle();
    expect(bell.getState()).toMatchObject({ status: 'polling', door: 'poll' });
  });
});

describe('the event stream parser', () => {
  const parse = (...pieces: string[]) => {
    const events: ServerSentEvent[] = [];
    const parser = eventStreamParser((e) => events.push(e));
    for (const piece of pieces) parser(piece);
    return events;
  };
  test('knows every end of line, in pieces of any size', () => {
    const text = 'event: a\rid: 1\rdata: x\r\revent:b\r\ndata:  y\r\ndata\r\n\r\n: comment\ndata: z\n\n';
    const want = [
      { event: 'a', data: 'x', id: '1' },
      { event: 'b', data: ' y\n', id: undefined },
      { event: 'message', data: 'z', id: undefined },
    ];
    expect(parse(text)).toEqual(want);
    expect(parse(...text)).toEqual(want);
    for (let i = 1; i < text.length; i++) expect(parse(text.slice(0, i), text.slice(i))).toEqual(want);
  });
  test('says nothing of an event without data, or without its end', () => {
    expect(parse('event: a\nid: 1\n\n', 'data: x\n')).toEqual([]);
  });
});
