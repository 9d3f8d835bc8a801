// @vitest-environment happy-dom
import { PgbellProvider, useBell, useNotifications } from '@pgbell/react';
import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import { StrictMode } from 'react';
import { afterEach, expect, inject, test } from 'vitest';
import WebSocket from 'ws';
import { FaultyProxy, market, mint } from '../../../../testing/server.js';

afterEach(cleanup);

function Inbox({ on }: { on: string }) {
  const { notifications, unread, more, loading, error, markRead, markAllRead, loadMore } = useNotifications();
  const bell = useBell();
  const mute = () =>
    bell.request('api/notifications/preferences', {
      method: 'PUT',
      body: JSON.stringify({ preferences: [{ type: 'booking.accepted', delivery: 'muted' }] }),
    });
  return (
    <section aria-label={on}>
      <output>
        {error
          ? error.message
          : loading
            ? 'loading'
            : `${unread} unread, ${notifications.length} shown${more ? ', more' : ''}`}
      </output>
      <button type="button" onClick={loadMore}>
        older
      </button>
      <button type="button" onClick={markAllRead}>
        read all
      </button>
      <button type="button" onClick={mute}>
        mute
      </button>
      <ul>
        {notifications.map((n) => (
          <li key={n.id}>
            <button type="button" data-read={!!n.readAt} onClick={() => markRead([n.id])}>
              {n.type} {n.level}: {n.title} {n.message}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

test('the same notifications on two devices: listed, paged, read, muted, through cuts', async () => {
  const m = await market();
  const proxy = await new FaultyProxy(inject('url')).listen();
  (window as unknown as { happyDOM: { setURL(url: string): void } }).happyDOM.setURL(`${proxy.url}/demo`);
  await m.sql(
    `INSERT INTO pgbell.notifications (user_id, title) SELECT $1, 'n' || i FROM generate_series(1, 120) AS i`,
    [m.client],
  );
  const shown = (on: string) => within(screen.getByRole('region', { name: on }));
  const shows = (on: string, what: string) =>
    waitFor(() => expect(shown(on).getByRole('status').textContent).toBe(what), { timeout: 20_000 });
  const click = (on: string, name: string | RegExp) =>
    fireEvent.click(shown(on).getByRole('button', { name }));
  const items = (on: string) =>
    shown(on)
      .queryAllByRole('listitem')
      .map((li) => `${li.textContent}${li.querySelector('[data-read=true]') ? ', read' : ''}`);
  try {
    render(
      <StrictMode>
        {['phone', 'desk', 'other'].map((on) => {
          const user = on === 'other' ? m.other : m.client;
          return (
            <PgbellProvider
              key={on}
              userId={user}
              token={() => mint(user)}
              WebSocket={WebSocket}
              backoffMin={20}
              backoffMax={100}
            >
              <Inbox on={on} />
            </PgbellProvider>
          );
        })}
      </StrictMode>,
    );
    await shows('other', '0 unread, 0 shown');
    for (const on of ['phone', 'desk']) await shows(on, '120 unread, 50 shown, more');
    click('phone', 'older');
    await shows('phone', '120 unread, 100 shown, more');
    click('phone', 'older');
    await shows('phone', '120 unread, 120 shown');
    expect(items('phone').slice(-2)).toEqual(['notice info: n2 ', 'notice info: n1 ']);

    // The oldest, which the other device does not show, counts there, too.
    click('phone', /: n1$/);
    for (const [on, more] of [
      ['phone', '120 shown'],
      ['desk', '50 shown, more'],
    ] as const)
      await shows(on, `119 unread, ${more}`);
    expect(items('phone').at(-1)).toBe('notice info: n1 , read');

    // A rule makes one of a row, for its owner alone.
    const id = await m.book();
    await m.sql(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = $1`, [id]);
    for (const [on, more] of [
      ['phone', '121 shown'],
      ['desk', '51 shown, more'],
    ] as const) {
      await shows(on, `120 unread, ${more}`);
      expect(items(on)[0]).toBe(
        `booking.accepted success: Your booking has been accepted! Booking ${id} is confirmed.`,
      );
    }

    // Cut off while some come and some are read elsewhere.
    for (let i = 0; i < 5; i++) {
      proxy.cut();
      await m.sql(`SELECT pgbell.notify(ARRAY[$1], 'while away')`, [m.client]);
      await m.sql(
        `SELECT pgbell.read_notifications($1, ARRAY(SELECT id FROM pgbell.notifications WHERE user_id = $1 AND read_at IS NULL ORDER BY id DESC LIMIT 2))`,
        [m.client],
      );
    }
    const { rows } = await m.sql(
      `SELECT count(*) FILTER (WHERE read_at IS NULL)::int AS unread, count(*)::int AS all FROM pgbell.notifications WHERE user_id = $1`,
      [m.client],
    );
    expect(rows).toEqual([{ unread: 115, all: 126 }]);
    await shows('phone', '115 unread, 126 shown');
    await shows('desk', '115 unread, 56 shown, more');

    click('desk', 'mute');
    await waitFor(async () => {
      const { rows } = await m.sql(`SELECT FROM pgbell.notification_preferences WHERE user_id = $1`, [
        m.client,
      ]);
      expect(rows).toHaveLength(1);
    });
    await m.sql(`UPDATE bookings SET status = 'PENDING' WHERE id = $1`, [id]);
    await m.sql(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = $1`, [id]);
    await m.sql(`SELECT pgbell.notify(ARRAY[$1], 'not muted')`, [m.client]);
    await shows('phone', '116 unread, 127 shown');
    expect(items('phone')[0]).toBe('notice info: not muted ');

    click('desk', 'read all');
    await shows('phone', '0 unread, 127 shown');
    await shows('desk', '0 unread, 57 shown, more');
    expect(items('phone').every((i) => i.endsWith(', read'))).toBe(true);
    click('desk', 'older');
    await shows('desk', '0 unread, 107 shown, more');
    expect(items('desk').every((i) => i.endsWith(', read'))).toBe(true);
    await shows('other', '0 unread, 0 shown');
  } finally {
    cleanup();
    await proxy.close();
    await m.close();
  }
});
