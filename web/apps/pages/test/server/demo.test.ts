import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { FaultyProxy } from '../../../../testing/server.js';

let browser: Browser;
beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
});
afterAll(() => browser.close());

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Opens a page, whose complaints are failures, and closes it in the end. */
async function visit(url: string, use: (page: Page) => Promise<void>, options: BrowserContextOptions = {}) {
  const context = await browser.newContext({ viewport: { width: 1500, height: 1000 }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (e) => complaints.push(e.message));
  page.on('console', (m) => {
    // What is out of reach is told by the browser itself, and is the badge's to show.
    if (m.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(m.text()))
      complaints.push(m.text());
  });
  try {
    await page.goto(url);
    await use(page);
    expect(complaints).toEqual([]);
  } finally {
    await context.close();
  }
}
const side = (page: Page, name: 'Client' | 'Provider') =>
  page.getByRole('region', { name: `${name} dashboard` });
const badge = (page: Page, name: 'Client' | 'Provider', status: string) =>
  side(page, name).locator(`[data-status=${status}]`).waitFor();

test('a click on one side arrives on the other', async () => {
  await visit(`${inject('url')}/demo`, async (page) => {
    await badge(page, 'Client', 'live');
    await badge(page, 'Provider', 'live');
    await page.getByRole('button', { name: 'Book the provider' }).click();
    const accept = side(page, 'Provider')
      .getByRole('button', { name: /^accept booking/ })
      .first();
    const id = /\d+/.exec((await accept.getAttribute('aria-label')) ?? '')?.[0];
    await accept.click();
    const pay = side(page, 'Client').getByRole('button', { name: `pay booking ${id}` });
    await page.getByText('Your booking has been accepted!').waitFor();
    await pay.click();
    await side(page, 'Client')
      .getByRole('button', { name: `release booking ${id}` })
      .click();
    await side(page, 'Provider').getByText('completed').first().waitFor();
    await side(page, 'Provider')
      .getByRole('tab', { name: /Payouts/ })
      .click();
    await side(page, 'Provider').getByText('scheduled').first().waitFor();
    expect(await page.getByTestId('trips').textContent()).toMatch(/release booking \d+: \d+ ms/);
  });
});

test('the badge tells the truth while the server is out of reach, and nothing is missed', async () => {
  const proxy = await new FaultyProxy(inject('url')).listen();
  try {
    await visit(`${proxy.url}/demo`, async (page) => {
      await badge(page, 'Client', 'live');
      await badge(page, 'Provider', 'live');
      proxy.refuse = /./s;
      proxy.cut();
      await badge(page, 'Client', 'offline');
      await badge(page, 'Provider', 'offline');
      const rows = await side(page, 'Client').locator('[data-row]').count();
      // Meanwhile, in another window.
      await visit(`${inject('url')}/demo`, async (other) => {
        await badge(other, 'Client', 'live');
        await other.getByRole('button', { name: 'Book the provider' }).click();
        await side(other, 'Client').locator('[data-row]').nth(rows).waitFor();
      });
      expect(await side(page, 'Client').locator('[data-row]').count()).toBe(rows);
      proxy.refuse = undefined;
      await badge(page, 'Client', 'live');
      await side(page, 'Client').locator('[data-row]').nth(rows).waitFor();
    });
  } finally {
    await proxy.close();
  }
});

test('where WebSockets and streams are blocked, polling delivers', async () => {
  const proxy = await new FaultyProxy(inject('url')).listen();
  proxy.refuse = /^GET \/(ws|api\/events\S* HTTP.*text\/event-stream)/s;
  try {
    await visit(`${proxy.url}/demo`, async (page) => {
      await badge(page, 'Client', 'polling');
      await badge(page, 'Provider', 'polling');
      const rows = await side(page, 'Provider').locator('[data-row]').count();
      await page.getByRole('button', { name: 'Book the provider' }).click();
      await side(page, 'Provider').locator('[data-row]').nth(rows).waitFor();
    });
  } finally {
    await proxy.close();
  }
});

describe.each(['light', 'dark'] as const)('accessibility, %s', (colorScheme) => {
  test.each(['/demo', '/demo/client', '/demo/provider', '/websocket-test', '/console'])(
    '%s',
    async (path) => {
      await visit(
        inject('url') + path,
        async (page) => {
          await page.getByRole('heading', { level: 1 }).waitFor();
          if (path.startsWith('/demo')) await page.locator('[data-status=live]').first().waitFor();
          await page.evaluate(axe);
          // biome-ignore lint/suspicious/noExplicitAny: axe has just been put there
          const { violations } = await page.evaluate(() => (globalThis as any).axe.run());
          expect(
            violations.map((v: { id: string; nodes: { html: string }[] }) => [
              v.id,
              v.nodes.map((n) => n.html),
            ]),
          ).toEqual([]);
        },
        { colorScheme, bypassCSP: true },
      );
    },
  );
});
