import { expect, inject, onTestFinished, test } from 'vitest';
import { FaultyProxy, Node } from '../../../../testing/server.js';
import { people, type Side, type Visit, visit } from './visit.js';

const sides: Side[] = ['Client', 'Provider'];

async function faultyProxy(): Promise<FaultyProxy> {
  const proxy = await new FaultyProxy(inject('url')).listen();
  onTestFinished(() => proxy.close());
  return proxy;
}

/** Both sides show these bookings, with this text. */
async function show(v: Visit, ids: number[], text: string): Promise<void> {
  for (const side of sides) for (const id of ids) await v.booking(side, id).getByText(text).waitFor();
}

test('a server that is killed during an accept and started again: nothing is missed', async () => {
  const node = new Node('demo');
  await node.start();
  onTestFinished(() => node.stop());
  const p = await people();
  await visit(
    `${node.url}/demo`,
    async (v) => {
      await v.badge('Live');
      const accepted = await p.book();
      const answer = v.page.waitForResponse((r) => r.url().endsWith(`/bookings/${accepted}/accept`));
      await v.button('Provider', 'accept', accepted).click();
      // The row is written; whether anybody has heard of it is open.
      expect((await answer).status()).toBe(204);
      await node.stop('SIGKILL');
      await v.badge('Offline');
      const missed = await p.book();
      await p.sql(`UPDATE bookings SET price = 77 WHERE id = $1`, [accepted]);
      const before = await v.sights();
      expect(before.filter((s) => s.badge === 'Live').every((s) => s.rows <= 1)).toBe(true);
      await node.start();
      await v.badge('Live');
      await show(v, [accepted], 'confirmed');
      await show(v, [missed], 'pending');
      for (const side of sides) {
        await v.booking(side, accepted).getByText('77').waitFor();
        const said = await v.said(side);
        // Offline, or Polling on the way back: but never Live while nobody was there.
        const down = said.slice(said.indexOf('Live') + 1, said.lastIndexOf('Live'));
        expect(down).toContain('Offline');
        expect(down).not.toContain('Live');
      }
    },
    { people: p, rough: true },
  );
});

test('where WebSockets and streams are blocked polling delivers, and it climbs back', async () => {
  const proxy = await faultyProxy();
  proxy.refuse = /^GET \/(ws|api\/events\S* HTTP.*text\/event-stream)/s;
  const p = await people();
  await visit(
    `${proxy.url}/demo`,
    async (v) => {
      await v.badge('Polling');
      await v.page.getByRole('button', { name: 'Book the provider' }).click();
      const accept = v.side('Provider').getByRole('button', { name: /^accept booking/ });
      const id = Number(/\d+/.exec((await accept.getAttribute('aria-label')) ?? '')?.[0]);
      await accept.click();
      await show(v, [id], 'confirmed');
      for (const side of sides) expect(await v.said(side)).not.toContain('Live');
      proxy.refuse = undefined;
      await v.badge('Live');
      await p.sql(`UPDATE bookings SET status = 'COMPLETED' WHERE id = $1`, [id]);
      await show(v, [id], 'completed');
      for (const side of sides) {
        const said = await v.said(side);
        expect(said.slice(said.indexOf('Polling'))).toEqual(['Polling', 'Live']);
      }
    },
    { people: p, rough: true },
  );
});

test('where only WebSockets are blocked it is live all the same', async () => {
  const proxy = await faultyProxy();
  proxy.refuse = /^GET \/ws/;
  const p = await people();
  await visit(
    `${proxy.url}/demo`,
    async (v) => {
      await v.badge('Live');
      const id = await p.book();
      await v.button('Provider', 'accept', id).click();
      await show(v, [id], 'confirmed');
    },
    { people: p, rough: true },
  );
});

test('a slow 3G connection is slow, and nothing else', async () => {
  const proxy = await faultyProxy();
  const p = await people();
  await visit(
    `${proxy.url}/demo`,
    async (v) => {
      // The browser's own emulation is of requests; WebSockets are slowed down on their way.
      proxy.delay = 400;
      await v.badge('Live');
      const id = await p.book();
      await v.button('Provider', 'accept', id).click();
      await show(v, [id], 'confirmed');
      proxy.cut();
      await p.sql(`UPDATE bookings SET status = 'COMPLETED' WHERE id = $1`, [id]);
      await show(v, [id], 'completed');
      await v.badge('Live');
      for (const side of sides) expect(await v.said(side)).not.toContain('Polling');
    },
    {
      people: p,
      rough: true,
      before: async (page) => {
        const devtools = await page.context().newCDPSession(page);
        await devtools.send('Network.enable');
        await devtools.send('Network.emulateNetworkConditions', {
          offline: false,
          latency: 400,
          downloadThroughput: (400 * 1024) / 8,
          uploadThroughput: (400 * 1024) / 8,
          connectionType: 'cellular3g',
        });
      },
    },
  );
});

test('a page that was asleep for ten minutes finds its connection dead, and catches up', async () => {
  const proxy = await faultyProxy();
  const p = await people();
  await visit(
    `${proxy.url}/demo`,
    async (v) => {
      await v.badge('Live');
      const id = await p.book();
      await show(v, [id], 'pending');
      // The network goes without a word, as it does when a lid is closed.
      proxy.flowing = false;
      await p.sql(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = $1`, [id]);
      const missed = await p.book();
      await v.page.clock.fastForward('10:00');
      proxy.flowing = true;
      // It has asked whether anybody is there, and nobody answers on the old connection.
      await v.page.clock.runFor(10_000);
      await show(v, [id], 'confirmed');
      await show(v, [missed], 'pending');
      await v.badge('Live');
      for (const side of sides) {
        const said = await v.said(side);
        expect(said.at(-1)).toBe('Live');
        expect(said.filter((s) => s === 'Live')).toHaveLength(2);
      }
    },
    { people: p, rough: true, before: (page) => page.clock.install() },
  );
});

test('a reconnect does not flicker', async () => {
  const proxy = await faultyProxy();
  const p = await people();
  const ids: number[] = [];
  for (let i = 0; i < 5; i++) ids.push(await p.book());
  await visit(
    `${proxy.url}/demo`,
    async (v) => {
      await v.badge('Live');
      await show(v, ids, '10.00');
      // The lines themselves: a line that is drawn anew has no mark.
      await v.page.evaluate(() => {
        for (const line of document.querySelectorAll('tbody tr')) Object.assign(line, { mark: true });
        Object.assign(globalThis, { shifts: 0 });
        new PerformanceObserver((list) => {
          for (const e of list.getEntries())
            (globalThis as { shifts?: number }).shifts! += (e as { value?: number }).value ?? 0;
        }).observe({ type: 'layout-shift' });
      });
      const seen = (await v.sights()).length;
      for (const price of [11, 12]) {
        proxy.cut();
        // Nothing that would change the order of the lines, or how wide anything is.
        await p.sql(`UPDATE bookings SET price = $1 WHERE id = ANY ($2)`, [price, ids]);
        await show(v, ids, `${price}.00`);
        await v.badge('Live');
      }
      const since = (await v.sights()).slice(seen);
      expect(since.length).toBeGreaterThan(0);
      expect(new Set(since.map((s) => s.rows))).toEqual(new Set([ids.length]));
      const [marked, shifts] = await v.page.evaluate(() => [
        [...document.querySelectorAll('tbody tr')].filter((line) => (line as { mark?: boolean }).mark).length,
        (globalThis as { shifts?: number }).shifts,
      ]);
      expect(marked).toBe(sides.length * ids.length);
      expect(shifts).toBeLessThan(0.01);
    },
    { people: p, rough: true },
  );
});
