import { type DoorName, liveRows, type Options, Pgbell, type Update } from '@pgbell/client';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import WebSocket from 'ws';
import { FaultyProxy, type Market, market, mint, Node, until } from '../../../../testing/server.js';

interface Rows {
  booking: { id: number; client_id: string; provider_id: string; status: string; price: number };
  payment: { id: number; booking_id: number; status: string };
}

let m: Market;
let proxy: FaultyProxy;
const open: Pgbell<Rows>[] = [];

beforeEach(async () => {
  m = await market();
  proxy = await new FaultyProxy(inject('url')).listen();
});
afterEach(async () => {
  for (const bell of open.splice(0)) bell.close();
  await proxy.close();
  await m.close();
});

function make(user: string, options: Partial<Options> = {}): Pgbell<Rows> {
  const bell = new Pgbell<Rows>({
    url: proxy.url,
    token: () => mint(user),
    WebSocket,
    backoffMin: 20,
    backoffMax: 200,
    climbAfter: 200,
    ...options,
  });
  open.push(bell);
  return bell;
}

/** What the server would answer now, straight from the tables. */
async function truth(user: string): Promise<Rows['booking'][]> {
  const { rows } = await m.sql(
    `SELECT id::int, client_id, provider_id, status, price::float FROM bookings WHERE $1 IN (client_id, provider_id) ORDER BY id`,
    [user],
  );
  return rows;
}
const plain = (rows: readonly Rows['booking'][]) =>
  rows.map(({ id, client_id, provider_id, status, price }) => ({
    id,
    client_id,
    provider_id,
    status,
    price: Number(price),
  }));

const doors: DoorName[] = ['websocket', 'sse', 'poll'];

describe.each(doors)('by %s alone', (door) => {
  test('a row is painted, followed and gone', async () => {
    const id = await m.book();
    const bell = make(m.client, { doors: [door] });
    const heard: Update<Rows['booking']>[] = [];
    bell.on('booking_update', (u) => heard.push(u));
    const rows = liveRows(bell, 'booking');
    rows.subscribe(() => {});
    bell.connect();
    await until(rows, (s) => s.rows.length === 1 && !s.stale);
    expect(bell.getState()).toMatchObject({ status: door === 'poll' ? 'polling' : 'live', door });
    await m.sql(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = $1`, [id]);
    await until(rows, (s) => s.rows[0]?.status === 'CONFIRMED');
    await m.sql(`DELETE FROM bookings WHERE id = $1`, [id]);
    await until(rows, (s) => s.rows.length === 0);
    expect(heard.map((u) => u.action)).toEqual(['accepted', 'deleted']);
    expect(heard[0]?.old).toEqual({ status: 'PENDING' });
  });

  test('a token is replaced, unnoticed', async () => {
    let minted = 0;
    const statuses = new Set<string>();
    const bell = make(m.client, {
      doors: [door],
      longPoll: 1000,
      token: () => {
        minted++;
        return mint(m.client, [], 3);
      },
    });
    bell.on('state', (s) => statuses.add(s.status));
    const rows = liveRows(bell, 'booking');
    rows.subscribe(() => {});
    bell.connect();
    await until(bell, (s) => s.connected);
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (minted < 4) return;
        clearInterval(timer);
        resolve();
      }, 50);
    });
    await m.book();
    await until(rows, (s) => s.rows.length === 1);
    expect([...statuses].filter((s) => s !== 'connecting')).toEqual([door === 'poll' ? 'polling' : 'live']);
    expect(bell.stats().totalErrors).toBe(0);
  });
});

test('owners that move: entered and left', async () => {
  const id = await m.book();
  const [a, b] = [m.client, m.other].map((user) => {
    const bell = make(user);
    const rows = liveRows(bell, 'booking');
    rows.subscribe(() => {});
    bell.connect();
    return rows;
  }) as [ReturnType<typeof liveRows<Rows, 'booking'>>, ReturnType<typeof liveRows<Rows, 'booking'>>];
  await until(a, (s) => s.rows.length === 1 && !s.stale);
  await until(b, (s) => s.rows.length === 0 && !s.stale);
  await m.sql(`UPDATE bookings SET client_id = $1 WHERE id = $2`, [m.other, id]);
  await until(a, (s) => s.rows.length === 0);
  await until(b, (s) => s.rows.length === 1);
});

test('exact under random cuts, silences, door changes and page loads', async () => {
  const events: number[] = [];
  const kept = new Map<string, string>();
  const storage = {
    getItem: (k: string) => kept.get(k) ?? null,
    setItem: (k: string, v: string) => void kept.set(k, v),
    removeItem: (k: string) => void kept.delete(k),
  };
  const options = { timeout: 300, heartbeat: 200, longPoll: 300, pollInterval: 100, healthyAfter: 100 };
  const counting = make(m.provider, { ...options, storage });
  counting.on('booking_update', (u) => events.push(Number(u.id)));
  const watching = make(m.provider, options);
  const rows = liveRows(watching, 'booking');
  rows.subscribe(() => {});
  const mine = liveRows(make(m.client, options), 'booking', { where: { status: 'PENDING' } });
  mine.subscribe(() => {});
  for (const bell of open) bell.connect();
  await until(counting, (s) => s.connected);
  const doorsSeen = new Set<string | null>();
  watching.on('state', (s) => doorsSeen.add(s.door));

  let written = 0;
  let done = false;
  const write = async () => {
    const ids: number[] = [];
    while (!done) {
      if (ids.length < 5 || Math.random() < 0.3) ids.push(await m.book(1 + Math.floor(Math.random() * 99)));
      else {
        const id = ids[Math.floor(Math.random() * ids.length)];
        const dice = Math.random();
        if (dice < 0.1) {
          ids.splice(ids.indexOf(id as number), 1);
          await m.sql(`DELETE FROM bookings WHERE id = $1`, [id]);
        } else if (dice < 0.5) {
          await m.sql(
            `UPDATE bookings SET status = CASE status WHEN 'PENDING' THEN 'CONFIRMED' ELSE 'PENDING' END::booking_status WHERE id = $1`,
            [id],
          );
        } else await m.sql(`UPDATE bookings SET price = price + 1 WHERE id = $1`, [id]);
      }
      written++;
    }
  };
  const writing = Promise.all([write(), write()]);
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  for (let round = 0; round < 24; round++) {
    await pause(80 + Math.random() * 150);
    const dice = round % 4;
    if (dice === 0) proxy.cut();
    else if (dice === 1) {
      proxy.flowing = false;
      await pause(400);
      proxy.flowing = true;
      proxy.cut(); // bytes were lost: these connections are of no use
    } else if (dice === 2) {
      proxy.refuse =
        Math.random() < 0.5 ? /^GET \/ws/ : /^GET \/(ws|api\/events\S* HTTP.*text\/event-stream)/s;
      proxy.cut();
      await pause(700);
    } else proxy.refuse = undefined;
  }
  proxy.refuse = undefined;
  done = true;
  await writing;
  const want = await truth(m.provider);
  await until(rows, (s) => JSON.stringify(plain(s.rows)) === JSON.stringify(want) && !s.stale);
  const pending = (await truth(m.client)).filter((r) => r.status === 'PENDING');
  await until(mine, (s) => JSON.stringify(plain(s.rows)) === JSON.stringify(pending) && !s.stale);

  // Every write is one event of the provider's, and each came once.
  for (let i = 0; i < 200 && events.length < written; i++) await pause(50);
  expect(events.length).toBe(written);
  expect(new Set(events).size).toBe(written);
  expect(doorsSeen.size).toBeGreaterThan(2);
  expect(watching.stats().totalErrors).toBeGreaterThan(5);

  // The next page load goes on from the storage.
  counting.close();
  const missed = await m.book();
  const next = make(m.provider, { ...options, storage });
  const heard: unknown[] = [];
  const first = new Promise<void>((resolve) => {
    next.on('booking_update', (u) => {
      heard.push(u.key?.id);
      resolve();
    });
  });
  next.connect();
  await first;
  expect(heard).toEqual([missed]);
});

test('a server that is killed and started again', async () => {
  const node = new Node();
  await node.start();
  try {
    const statuses: string[] = [];
    const bell = make(m.provider, { url: node.url });
    bell.on('state', (s) => statuses.at(-1) === s.status || statuses.push(s.status));
    const rows = liveRows(bell, 'booking');
    rows.subscribe(() => {});
    bell.connect();
    await until(rows, (s) => !s.stale);
    const restarts: NodeJS.Signals[] = ['SIGKILL', 'SIGTERM'];
    for (const signal of restarts) {
      await node.stop(signal);
      await m.book();
      await until(bell, (s) => s.status === 'offline');
      expect(rows.getState().stale).toBe(true);
      await m.book();
      await node.start();
      await until(bell, (s) => s.status === 'live');
      const want = await truth(m.provider);
      await until(rows, (s) => s.rows.length === want.length && !s.stale);
    }
    expect(statuses.filter((s) => s !== 'connecting')).toEqual([
      'live',
      'offline',
      'live',
      'offline',
      'live',
    ]);
  } finally {
    await node.stop();
  }
});

test('a connection that is dead without a word is found and replaced', async () => {
  const bell = make(m.client, { heartbeat: 200, timeout: 200, doors: ['websocket'] });
  const rows = liveRows(bell, 'booking');
  rows.subscribe(() => {});
  bell.connect();
  await until(rows, (s) => !s.stale);
  proxy.flowing = false;
  await m.book();
  await until(bell, (s) => s.error?.code === 'no_heartbeat');
  proxy.flowing = true;
  await until(rows, (s) => s.rows.length === 1 && !s.stale);
  // The server answers pings: a quiet connection stays.
  const { connections } = proxy;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(proxy.connections).toBe(connections);
  expect(bell.getState().status).toBe('live');
});

test('a bad token and a missing one', async () => {
  const bell = make(m.client, { token: 'not a token' });
  bell.connect();
  await until(bell, (s) => s.status === 'stopped');
  expect(bell.getState().error).toMatchObject({ code: 'token_invalid', strategy: 'refresh' });
  bell.setToken(() => mint(m.client));
  await until(bell, (s) => s.status === 'live');
});

test('rooms', async () => {
  const id = await m.book();
  const bell = make(m.client);
  bell.connect();
  await bell.join(`booking:${id}`);
  await expect(bell.join('role:ADMIN')).rejects.toMatchObject({ code: 'room_forbidden' });
  proxy.cut();
  await bell.join(`booking:${id}`);
  await bell.leave(`booking:${id}`);
});
