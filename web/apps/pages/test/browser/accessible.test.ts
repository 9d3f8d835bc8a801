import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, inject, onTestFinished, test } from 'vitest';
import { FaultyProxy, mint, Node } from '../../../../testing/server.js';
import { people, type Visit, visit } from './visit.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What shuts people out on the page as it is now, in light and dark. */
async function faults({ page }: Visit): Promise<unknown[]> {
  const found = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axe);
    // biome-ignore lint/suspicious/noExplicitAny: axe has just been put there
    const { violations } = await page.evaluate(() => (globalThis as any).axe.run());
    for (const { id, nodes } of violations as { id: string; nodes: { html: string }[] }[])
      found.push([colorScheme, id, nodes.map((n) => n.html)]);
  }
  return found;
}

test.each([
  '/demo',
  '/demo/client',
  '/demo/provider',
  '/websocket-test',
  '/console',
  '/console#clients',
  '/console#errors',
  '/console#why',
])('%s is accessible and complains of nothing', async (path) => {
  await visit(inject('url') + path, async (v) => {
    await v.page.getByRole('heading', { level: 1 }).waitFor();
    if (path.startsWith('/demo')) await v.page.locator('[data-status=live]').last().waitFor();
    await v.page.waitForLoadState('networkidle');
    expect(await faults(v)).toEqual([]);
  });
});

test('dashboards are accessible with everything open, and while nobody is there', async () => {
  const proxy = await new FaultyProxy(inject('url')).listen();
  onTestFinished(() => proxy.close());
  const p = await people();
  const id = await p.book();
  await p.sql(
    `INSERT INTO pgbell.notifications (user_id, title, message) VALUES ($1, 'Hello', 'To be read')`,
    [p.client],
  );
  await visit(
    `${proxy.url}/demo`,
    async (v) => {
      await v.badge('Live');
      await v.button('Provider', 'accept', id).click();
      await v.page.getByText('Your booking has been accepted!').first().waitFor();
      await v
        .side('Client')
        .getByRole('button', { name: /^Notifications/ })
        .click();
      await v.page.getByRole('dialog', { name: 'Notifications' }).getByText('To be read').waitFor();
      expect(await faults(v)).toEqual([]);
      await v.page.keyboard.press('Escape');
      proxy.refuse = /./;
      proxy.cut();
      await v.badge('Offline');
      await v.button('Client', 'cancel', id).click();
      await v.page.getByRole('alert').first().waitFor(); // It could not be done.
      expect(await faults(v)).toEqual([]);
    },
    { people: p, rough: true },
  );
});

test('the test panel is accessible with a log and an error', async () => {
  const p = await people();
  const ids: number[] = [];
  for (let i = 0; i < 40; i++) ids.push(await p.book());
  await visit(
    `${inject('url')}/websocket-test`,
    async (v) => {
      const { page } = v;
      await page.getByRole('combobox', { name: 'Somebody of the demo' }).click();
      await page.getByRole('option', { name: /Clara/ }).click();
      await page.getByRole('button', { name: 'Connect', exact: true }).click();
      await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
      await p.sql(`UPDATE bookings SET price = 5 WHERE id = ANY ($1)`, [ids]);
      await page.getByText(/^4\d lines$/).waitFor();
      await page.getByRole('option').filter({ hasText: 'booking_update' }).last().click();
      await page.getByRole('textbox', { name: 'Room' }).fill('user:somebody');
      await page.getByRole('button', { name: 'Join' }).click();
      await page.getByRole('alert').waitFor();
      expect(await faults(v)).toEqual([]);
    },
    { people: p },
  );
});

test('the console is accessible with an answer, and at its door', async () => {
  const p = await people();
  const id = await p.book();
  await visit(`${inject('url')}/console#why`, async (v) => {
    await v.page.getByRole('textbox', { name: 'User' }).fill(p.client);
    await v.page.getByRole('combobox', { name: 'Table' }).fill('public.bookings');
    await v.page.getByRole('textbox', { name: 'Key' }).fill(String(id));
    await v.page.getByRole('button', { name: 'Why?' }).click();
    await v.page.getByText(`${p.client} receives`).waitFor();
    expect(await faults(v)).toEqual([]);
  });
  const node = new Node('serve');
  await node.start();
  onTestFinished(() => node.stop());
  await visit(
    `${node.url}/console`,
    async (v) => {
      await v.page.getByRole('textbox', { name: 'Token' }).fill(mint('carla'));
      await v.page.getByRole('button', { name: 'Open' }).click();
      await v.page.getByRole('alert').waitFor();
      expect(await faults(v)).toEqual([]);
    },
    { rough: true },
  );
});

test('a phone: the menu is accessible, and nothing is wider than the screen', async () => {
  await visit(
    `${inject('url')}/demo`,
    async (v) => {
      await v.badge('Live');
      await v.page.getByRole('button', { name: 'Pages' }).click();
      await v.page.getByRole('navigation', { name: 'Pages, as a menu' }).waitFor();
      expect(await faults(v)).toEqual([]);
      const width = () => v.page.evaluate(() => document.documentElement.scrollWidth);
      expect(await width()).toBe(360);
      for (const path of ['/websocket-test', '/console']) {
        await v.page.goto(inject('url') + path);
        await v.page.getByRole('heading', { level: 1 }).waitFor();
        await v.page.waitForLoadState('networkidle');
        expect(await width(), path).toBe(360);
      }
    },
    { viewport: { width: 360, height: 740 } },
  );
});

test('the lists are tables with rows, also to those who hear them', async () => {
  const p = await people();
  const ids = [await p.book(), await p.book()];
  await visit(
    `${inject('url')}/demo`,
    async (v) => {
      for (const id of ids) await v.booking('Client', id).waitFor();
      // What the browser tells a screen reader: a layout of another kind may take a table's meaning away.
      const devtools = await v.page.context().newCDPSession(v.page);
      const { nodes } = await devtools.send('Accessibility.getFullAXTree');
      const byId = new Map(nodes.map((n) => [n.nodeId, n]));
      type Node = (typeof nodes)[number];
      const below = (n: Node): Node[] =>
        (n.childIds ?? []).flatMap((id) => {
          const child = byId.get(id);
          return child ? [child, ...below(child)] : [];
        });
      const of = (n: Node, role: string) => below(n).filter((c) => !c.ignored && c.role?.value === role);
      const list = nodes.find(
        (n) => n.role?.value === 'table' && n.name?.value === 'Bookings of Clara Client',
      );
      const [head, ...rows] = of(list as Node, 'row');
      expect(of(head as Node, 'columnheader').map((c) => c.name?.value)).toEqual([
        'Number',
        'What',
        'Amount',
        'Actions',
      ]);
      expect(rows.map((r) => of(r, 'cell')[0]?.name?.value)).toEqual(ids.toReversed().map(String));
      expect(rows.map((r) => of(r, 'cell').length)).toEqual([4, 4]);
    },
    { people: p },
  );
});
