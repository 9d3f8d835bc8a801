// @vitest-environment happy-dom
import type { Options } from '@pgbell/client';
import { PgbellProvider, useRows, useSocket } from '@pgbell/react';
import { cleanup, render, screen, waitFor } from '@testing-library/react';
import { StrictMode } from 'react';
import { afterEach, expect, inject, test } from 'vitest';
import WebSocket from 'ws';
import { FaultyProxy, market, mint } from '../../../../testing/server.js';

interface Booking {
  id: number;
  status: string;
  price: number;
}

afterEach(cleanup);

function Dashboard({ of }: { of: string }) {
  const { rows, stale, error } = useRows<Booking>('booking');
  const { status } = useSocket();
  return (
    <section aria-label={of}>
      <output>{error ? error.message : `${status} ${stale ? 'stale' : 'exact'}`}</output>
      <ul>
        {rows.map((r) => (
          <li key={r.id}>
            {r.id} {r.status} {Number(r.price)}
          </li>
        ))}
      </ul>
    </section>
  );
}

test('two dashboards stay exact through cuts, moves and deletes', async () => {
  const m = await market();
  const proxy = await new FaultyProxy(inject('url')).listen();
  // The page comes from the server itself.
  (window as unknown as { happyDOM: { setURL(url: string): void } }).happyDOM.setURL(`${proxy.url}/demo`);
  const connection = (user: string): Options => ({
    token: () => mint(user),
    WebSocket,
    backoffMin: 20,
    backoffMax: 100,
  });
  const users = [m.client, m.other, m.provider];
  try {
    render(
      <StrictMode>
        {users.map((user) => (
          <PgbellProvider key={user} userId={user} {...connection(user)}>
            <Dashboard of={user} />
          </PgbellProvider>
        ))}
      </StrictMode>,
    );
    const shown = (user: string) =>
      [...screen.getByRole('region', { name: user }).querySelectorAll('li')].map((li) => li.textContent);
    const state = (user: string) =>
      screen.getByRole('region', { name: user }).querySelector('output')?.textContent;
    const exact = async () => {
      for (const user of users) {
        const { rows } = await m.sql(
          `SELECT id || ' ' || status || ' ' || price::float AS text FROM bookings WHERE $1 IN (client_id, provider_id) ORDER BY id`,
          [user],
        );
        const want = rows.map((r) => r.text);
        await waitFor(() => expect([state(user), shown(user)]).toEqual(['live exact', want]), {
          timeout: 20_000,
        });
      }
    };
    await exact();
    const ids: number[] = [];
    for (let i = 0; i < 6; i++) ids.push(await m.book(10 + i));
    await exact();
    for (let round = 0; round < 5; round++) {
      if (round % 2) proxy.cut();
      await m.sql(`UPDATE bookings SET price = price + 1 WHERE provider_id = $1`, [m.provider]);
      await m.sql(
        `UPDATE bookings SET client_id = CASE client_id WHEN $1 THEN $2 ELSE $1 END WHERE id = ANY ($3) AND id % 2 = $4`,
        [m.client, m.other, ids, round % 2],
      );
      if (!(round % 2)) proxy.cut();
      await m.sql(`DELETE FROM bookings WHERE id = $1`, [ids.shift()]);
    }
    await exact();
  } finally {
    cleanup();
    await proxy.close();
    await m.close();
  }
});
