import { expect, inject, onTestFinished, test } from 'vitest';
import { Node } from '../../../../testing/server.js';
import { type People, people, type Side, type Visit, visit } from './visit.js';

const accepted = 'Your booking has been accepted!';

/** Opens the demo on two devices of the same people. */
async function devices(
  url: string,
  p: People,
  use: (phone: Visit, desk: Visit) => Promise<void>,
  rough = false,
): Promise<void> {
  await visit(url, (phone) => visit(url, (desk) => use(phone, desk), { people: p, rough }), {
    people: p,
    rough,
  });
}

/** Waits until so many are unread on one side of each device. */
async function unread(n: number, side: Side, ...on: Visit[]): Promise<void> {
  for (const v of on) await bell(v, side, n).waitFor();
}

function bell(v: Visit, side: Side, n?: number) {
  const name = n === undefined ? /^Notifications, \d+ unread$/ : `Notifications, ${n} unread`;
  return v.side(side).getByRole('button', { name, exact: true });
}

/** Opens the list of a side, and returns it. */
async function list(v: Visit, side: Side) {
  await bell(v, side).click();
  const panel = v.page.getByRole('dialog', { name: /^Notifications/ });
  await panel.waitFor();
  return panel;
}

test('two devices of a user agree on what is unread, at once and after a reload', async () => {
  const p = await people();
  await devices(`${inject('url')}/demo`, p, async (phone, desk) => {
    const both = [phone, desk];
    for (const v of both) await v.badge('Live');
    await unread(0, 'Client', ...both);
    const id = await p.book();
    await unread(1, 'Provider', ...both);
    await phone.button('Provider', 'accept', id).click();
    await Promise.all(both.map((v) => v.page.getByRole('alert').filter({ hasText: accepted }).waitFor()));
    await unread(1, 'Client', ...both);

    let panel = await list(desk, 'Client');
    await panel.getByText(accepted).waitFor();
    await panel.getByText(`Booking ${id} is confirmed.`).waitFor();
    await panel.getByRole('button', { name: `Mark as read: ${accepted}` }).click();
    await unread(0, 'Client', ...both);
    await unread(1, 'Provider', ...both);

    await phone.page.reload();
    await phone.badge('Live');
    await unread(0, 'Client', phone);
    await unread(1, 'Provider', phone);
    panel = await list(phone, 'Client');
    await panel.getByText(`Booking ${id} is confirmed.`).waitFor();
    expect(await panel.getByRole('button', { name: /^Mark as read:/ }).count()).toBe(0);
    await phone.page.keyboard.press('Escape');

    // More than one, marked all at once on the other device.
    const more = [await p.book(), await p.book()];
    await p.sql(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = ANY ($1)`, [more]);
    await unread(2, 'Client', ...both);
    await desk.page.reload();
    await desk.badge('Live');
    await unread(2, 'Client', desk);
    panel = await list(phone, 'Client');
    await panel.getByRole('button', { name: 'Mark all as read' }).click();
    await unread(0, 'Client', ...both);
    await unread(3, 'Provider', ...both);
  });
});

test('a server that is killed and started again: the counts are right', async () => {
  const node = new Node('demo');
  await node.start();
  onTestFinished(() => node.stop());
  const p = await people();
  await devices(
    `${node.url}/demo`,
    p,
    async (phone, desk) => {
      const both = [phone, desk];
      for (const v of both) await v.badge('Live');
      const ids = [await p.book(), await p.book(), await p.book()];
      await p.sql(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = $1`, [ids[0]]);
      await unread(1, 'Client', ...both);
      const panel = await list(desk, 'Client');
      await panel.getByText(`Booking ${ids[0]} is confirmed.`).waitFor();

      await node.stop('SIGKILL');
      for (const v of both) await v.badge('Offline');
      // What cannot be told to the server is not pretended.
      await panel.getByRole('button', { name: `Mark as read: ${accepted}` }).click();
      await desk.page.getByRole('alert').filter({ hasText: 'The server cannot be reached.' }).waitFor();
      await unread(1, 'Client', ...both);
      await p.sql(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = ANY ($1)`, [ids.slice(1)]);
      await p.sql(
        `SELECT pgbell.read_notifications($1, ARRAY(SELECT id FROM pgbell.notifications WHERE user_id = $1 ORDER BY id LIMIT 1))`,
        [p.client],
      );
      await node.start();
      for (const v of both) await v.badge('Live');
      await unread(2, 'Client', ...both);
      for (const id of ids) await panel.getByText(`Booking ${id} is confirmed.`).waitFor();
      await panel.getByRole('button', { name: 'Mark all as read' }).click();
      await unread(0, 'Client', ...both);
      await unread(3, 'Provider', ...both);
    },
    true,
  );
});
