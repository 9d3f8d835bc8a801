import { expect, inject, test } from 'vitest';
import { people, visit } from './visit.js';

const demo = () => `${inject('url')}/demo`;

test('a click on one side arrives on the other', async () => {
  const p = await people();
  await visit(
    demo(),
    async (v) => {
      await v.badge('Live');
      await v.page.getByRole('button', { name: 'Book the provider' }).click();
      const accept = v.side('Provider').getByRole('button', { name: /^accept booking/ });
      const id = Number(/\d+/.exec((await accept.getAttribute('aria-label')) ?? '')?.[0]);
      await accept.click();
      await v.page.getByText('Your booking has been accepted!').first().waitFor();
      await v.button('Client', 'pay', id).click();
      await v.button('Client', 'release', id).click();
      await v.booking('Provider', id).getByText('completed').waitFor();
      await v
        .side('Provider')
        .getByRole('tab', { name: /Payouts/ })
        .click();
      await v.side('Provider').getByRole('row').getByText('scheduled').waitFor();
      // The page tells how long a click took to arrive.
      await v.page.getByText(new RegExp(`release booking ${id}: \\d+ ms`)).waitFor();
      expect(await v.said('Client')).not.toContain('Offline');
    },
    { people: p },
  );
});

test('two tabs of one browser show the same, and the one that stays goes on', async () => {
  const p = await people();
  await visit(
    demo(),
    async (first) => {
      await first.badge('Live');
      const second = await first.page.context().newPage();
      await second.route('**/demo/people', (route) => route.fulfill({ json: p.list() }));
      await second.goto(demo());
      const provider = second.getByRole('region', { name: 'Provider dashboard' });
      await provider
        .getByRole('status')
        .filter({ hasText: /^Live$/ })
        .waitFor();
      const id = await p.book();
      await provider.getByRole('button', { name: `accept booking ${id}` }).click();
      await first.booking('Client', id).getByText('confirmed').waitFor();
      await first.booking('Provider', id).getByText('confirmed').waitFor();
      await second.close();
      await p.sql(`UPDATE bookings SET status = 'COMPLETED' WHERE id = $1`, [id]);
      await first.booking('Client', id).getByText('completed').waitFor();
      expect(await first.said('Client')).not.toContain('Offline');
    },
    { people: p },
  );
});

test('a token expires and is refreshed, unnoticed', async () => {
  // Renewed a fifth before its end, which leaves time also on a busy machine.
  const seconds = 8;
  const p = await people(seconds);
  const tokens = new Set<string>();
  const sockets: string[] = [];
  await visit(
    demo(),
    async (v) => {
      await v.badge('Live');
      // Each side has shown three, the last one after the first one's end.
      await expect.poll(() => tokens.size, { timeout: 40_000 }).toBeGreaterThanOrEqual(6);
      const id = await p.book();
      await v.booking('Client', id).waitFor();
      await v.booking('Provider', id).waitFor();
      for (const side of ['Client', 'Provider'] as const) {
        const said = await v.said(side);
        expect(said.slice(said.indexOf('Live'))).toEqual(['Live']);
      }
      expect(sockets).toHaveLength(2);
    },
    {
      people: p,
      before: async (page) => {
        page.on('websocket', (s) => {
          sockets.push(s.url());
          s.on('framesent', ({ payload }) => {
            const { event, data } = JSON.parse(String(payload));
            if (event === 'authenticate') tokens.add(data.token);
          });
        });
      },
    },
  );
});
