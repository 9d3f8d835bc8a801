import { Pgbell } from '@pgbell/client';
import type { Locator, Page } from 'playwright-core';
import { expect, inject, onTestFinished, test } from 'vitest';
import WebSocket from 'ws';
import { mint, Node, ownDatabase, until } from '../../../../testing/server.js';
import { people, visit } from './visit.js';

const url = () => `${inject('url')}/console`;

/** Somebody who is connected while the console is looked at. */
async function guest(user: string): Promise<Pgbell> {
  const bell = new Pgbell({
    url: inject('url'),
    token: mint(user, ['CLIENT']),
    WebSocket: WebSocket as unknown as typeof globalThis.WebSocket,
  });
  onTestFinished(() => bell.close());
  bell.connect();
  await until(bell, (s) => s.status === 'live');
  return bell;
}

/** How many points of a chart's canvas are not blank. */
function painted(chart: Locator): Promise<number> {
  return chart.locator('canvas').evaluate((canvas) => {
    const { width, height } = canvas as HTMLCanvasElement;
    const data = (canvas as HTMLCanvasElement).getContext('2d')?.getImageData(0, 0, width, height).data;
    let points = 0;
    for (let i = 3; i < (data?.length ?? 0); i += 4) if (data?.[i]) points++;
    return points;
  });
}

async function samples(page: Page, least: number): Promise<void> {
  await page.waitForFunction(
    (n) => Number(document.querySelector<HTMLElement>('[data-samples]')?.dataset.samples) >= n,
    least,
  );
}

const charts = [
  'Connections by door',
  'Events a second',
  'Latency, from the row to this node',
  'Behind the log',
  'Bell: time on rounds',
  'Errors a second',
];

test('charts over time, numbers, tables and clients', async () => {
  const p = await people();
  const bell = await guest(p.client);
  const quiet = `quiet_${Date.now()}`;
  await p.sql(`CREATE ROLE ${quiet}`);
  await p.sql(`ALTER ROLE ${quiet} SET pgbell.enabled = off`);
  onTestFinished(() => void p.sql(`DROP ROLE ${quiet}`));
  await visit(url(), async ({ page }) => {
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    const id = await p.book();
    await samples(page, 3);
    for (const name of charts) {
      const chart = page.getByRole('region', { name }).getByRole('figure');
      await chart.waitFor();
      expect(await painted(chart), name).toBeGreaterThan(100);
      expect((await chart.getAttribute('aria-label'))?.length, name).toBeGreaterThan(10);
    }
    // What is written now is a measured event, and a line in the chart's legend.
    await page
      .getByRole('figure', { name: /^Latency: p50 [\d.]+ [µm]?s/ })
      .getByText(/^[\d.]+ [µm]?s$/)
      .first()
      .waitFor();
    await page.getByRole('figure', { name: /^The listener is (asleep|on rounds|settling)/ }).waitFor();

    const table = page.getByRole('table', { name: 'Triggers of each table' });
    for (const name of ['bookings', 'payments', 'payouts'])
      await table.getByRole('row', { name: new RegExp(`^public.${name} .* enabled none`) }).waitFor();
    await page.getByText(`pgbell.enabled is off for role "${quiet}"`).waitFor();
    await page.getByRole('table', { name: 'Connections that listen' }).getByText('asleep').first().waitFor();

    await page.getByRole('tab', { name: 'Clients' }).click();
    await page.getByRole('textbox', { name: 'Find a user' }).fill(p.client);
    await page.getByRole('button', { name: `Sessions of ${p.client}` }).click();
    const sessions = page.getByRole('region', { name: `Sessions of ${p.client}` });
    await sessions.getByText('WebSocket from 127.0.0.1').waitFor();
    await bell.join(`booking:${id}`);
    await sessions
      .getByText(new RegExp(`user:${p.client}.*booking:${id}|booking:${id}.*user:${p.client}`))
      .waitFor();
    await page.getByRole('table', { name: 'Top rooms' }).getByRole('row').nth(1).waitFor();
    bell.close();
    await sessions.getByText('There are none on this node now.').waitFor();
  });
});

test('errors by code, as clients were told', async () => {
  const p = await people();
  const bell = await guest(p.client);
  await expect(bell.join(`user:${p.provider}`)).rejects.toMatchObject({ code: 'room_forbidden' });
  await visit(`${url()}#errors`, async ({ page }) => {
    const codes = page.getByRole('table', { name: 'Errors by code' });
    await codes.getByRole('row', { name: /^room_forbidden/ }).waitFor();
    const last = page.getByRole('table', { name: 'The last errors' });
    await last.getByRole('row').filter({ hasText: p.client }).first().waitFor();
  });
});

test('drift of a table, and clients that read slowly, are seen while they last', async () => {
  const db = await ownDatabase(
    'CREATE TABLE bookings (id int PRIMARY KEY, client_id text, provider_id text, service text, status text)',
  );
  onTestFinished(() => db.close());
  const node = new Node('serve', {
    DATABASE_URL: db.url,
    PGBELL_API_ADMIN_ROLES: 'ADMIN',
    PGBELL_LIMITS_QUEUE_BYTES: '64MiB',
  });
  await node.start();
  onTestFinished(() => node.stop());
  await visit(`${node.url}/console`, async ({ page }) => {
    await page.getByRole('textbox', { name: 'Token' }).fill(mint('alice', ['ADMIN']));
    await page.getByRole('button', { name: 'Open' }).click();
    const table = page.getByRole('table', { name: 'Triggers of each table' });
    const bookings = (text: string) => table.getByRole('row', { name: `public.bookings booking ${text}` });
    await bookings('enabled none').waitFor();
    await db.sql('ALTER TABLE bookings DISABLE TRIGGER pgbell_update');
    await bookings('disabled 1').waitFor();
    await bookings('disabled 1').getByText('1', { exact: true }).hover();
    await page.getByRole('tooltip').getByText('pgbell_update').waitFor();
    await db.pgbell('triggers', 'apply');
    await bookings('enabled none').waitFor();

    await page.getByRole('tab', { name: 'Clients' }).click();
    await page.getByText('Nothing waits for anybody.').waitFor();
    const slow = new WebSocket(`${node.url.replace('http', 'ws')}/ws`, [
      'pgbell.v1',
      `bearer.${mint('sloth')}`,
    ]);
    onTestFinished(() => slow.terminate());
    await new Promise((resolve) => slow.once('message', resolve)); // It is live,
    slow.pause(); // and reads no more. The system between holds some megabytes.
    await db.sql(
      `INSERT INTO bookings SELECT n, 'sloth', 'p', repeat('x', 200000), 'PENDING' FROM generate_series(1, 100) n`,
    );
    await page
      .getByRole('table', { name: 'Slow clients' })
      .getByRole('row', { name: /^sloth WebSocket [\d.]+ MB/ })
      .waitFor();
    slow.terminate();
    await page.getByText('Nothing waits for anybody.').waitFor();
  });
});

test('why is live: another owner, another answer', async () => {
  const p = await people();
  const id = await p.book();
  await visit(
    `${url()}#why`,
    async ({ page }) => {
      const user = page.getByRole('textbox', { name: 'User' });
      await user.fill(p.client);
      await page.getByRole('combobox', { name: 'Table' }).fill('public.bookings');
      await page.getByRole('textbox', { name: 'Key' }).fill(String(id));
      await page.getByRole('button', { name: 'Why?' }).click();
      await page
        .getByText(`${p.client} receives the events of public.bookings id=${id}, as client.`)
        .waitFor();
      await page.getByRole('list', { name: 'Rules' }).getByRole('listitem').first().waitFor();
      await page.getByRole('table', { name: 'The row’s last events' }).getByText('insert created').waitFor();
      await p.sql('UPDATE bookings SET client_id = $1 WHERE id = $2', [p.other, id]);
      await page.getByText(`${p.client} does not receive the events of public.bookings id=${id}.`).waitFor();
      await user.fill(p.other);
      await page.getByRole('button', { name: 'Why?' }).click();
      await page
        .getByText(`${p.other} receives the events of public.bookings id=${id}, as client.`)
        .waitFor();
      // A question with a mistake in it has an answer that says which.
      await page.getByRole('combobox', { name: 'Table' }).fill('public.nothing');
      await page.getByRole('button', { name: 'Why?' }).click();
      await page.getByRole('alert').getByText('public.nothing').waitFor();
    },
    { rough: true },
  );
});

test('without a demo it asks for a token, and keeps it out of the address', async () => {
  const node = new Node('serve', { PGBELL_API_ADMIN_ROLES: 'ADMIN' });
  await node.start();
  onTestFinished(() => node.stop());
  await visit(
    `${node.url}/console`,
    async ({ page }) => {
      const open = async (token: string) => {
        await page.getByRole('textbox', { name: 'Token' }).fill(token);
        await page.getByRole('button', { name: 'Open' }).click();
      };
      await open(mint('carla', ['CLIENT']));
      await page.getByRole('alert').getByText('none of the roles that api.admin_roles names').waitFor();
      await open(mint('carla', ['ADMIN']));
      await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
      expect(page.url()).toBe(`${node.url}/console`);
      // A page load later one is still here; after signing out nobody is.
      await page.reload();
      await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByText('You have signed out.').waitFor();
      await page.reload();
      await page.getByRole('textbox', { name: 'Token' }).waitFor();
      // There is no marketplace here, and so no way to it.
      expect(await page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allInnerTexts()).toEqual(
        ['Test panel', 'Console'],
      );
    },
    { rough: true },
  );
});

test('a server that is gone, and back: the console says so', async () => {
  const node = new Node('demo');
  await node.start();
  onTestFinished(() => node.stop());
  await visit(
    `${node.url}/console`,
    async ({ page }) => {
      const badge = page.getByRole('status');
      await badge.filter({ hasText: 'Live' }).waitFor();
      await node.stop('SIGKILL');
      await badge.filter({ hasText: 'Offline' }).waitFor();
      await page.getByRole('alert').getByText('What you see is not the latest').waitFor();
      await node.start();
      await badge.filter({ hasText: 'Live' }).waitFor();
    },
    { rough: true },
  );
});
