import type { Page } from 'playwright-core';
import { expect, inject, onTestFinished, test } from 'vitest';
import { FaultyProxy } from '../../../../testing/server.js';
import { type People, people, visit } from './visit.js';

const panel = () => `${inject('url')}/websocket-test`;

/** The test panel as one uses it. */
class Panel {
  constructor(readonly page: Page) {}

  async choose(field: string, option: string | RegExp): Promise<void> {
    await this.page.getByRole('combobox', { name: field, exact: true }).click();
    await this.page
      .getByRole('listbox', { name: field })
      .getByRole('option', { name: option, exact: true })
      .click();
  }

  async connect(door: string): Promise<void> {
    await this.choose('Somebody of the demo', 'Clara Client (client)');
    await this.choose('Door', door);
    await this.click('Connect');
  }

  async click(name: string): Promise<void> {
    await this.page.getByRole('button', { name, exact: true }).click();
  }

  async badge(word: string): Promise<void> {
    await this.page.getByRole('status').filter({ hasText: word }).waitFor();
  }

  /** Lines of the log that have all these texts. */
  lines(...texts: string[]) {
    let lines = this.page.getByRole('listbox', { name: 'Frames' }).getByRole('option');
    for (const hasText of texts) lines = lines.filter({ hasText });
    return lines;
  }

  /** A number of the panel, by its name. */
  fact(name: string) {
    return this.page
      .getByRole('region', { name: 'Numbers' })
      .locator('div', { has: this.page.getByText(name, { exact: true }) })
      .last();
  }
}

/** How a frame names the key of a booking. */
const key = (id: number) => `"key":{"id":${id}}`;

test.each([
  ['the best that opens', 'Live', 'websocket'],
  ['WebSocket', 'Live', 'websocket'],
  ['Socket.IO', 'Live', 'socket.io websocket'],
  ['server-sent events', 'Live', 'sse'],
  ['long polling', 'Polling', 'poll'],
  ['polling, every 5 s', 'Polling', 'poll'],
])('by %s: what is missed while the link is cut comes on resuming, once', async (door, badge, name) => {
  const p = await people();
  const list = p.list() as { token: string }[];
  await visit(
    panel(),
    async ({ page }) => {
      const v = new Panel(page);
      await v.connect(door);
      await v.badge(badge);
      await v.fact('Door').getByText(name, { exact: true }).waitFor();
      await v.fact('User').getByText(p.client).waitFor();
      const before = await p.book();
      await v.lines('booking_update', key(before)).waitFor();

      await v.click('Cut');
      await v.badge('Not connected');
      const missed = [await p.book(), await p.book()];
      await p.sql(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = $1`, [before]);
      await v.click('Write a row');
      await v.lines('The marketplace wrote a booking').waitFor();
      await v.click('Resume');
      await v.badge(badge);
      await page.getByText('4 changes written while the link was cut came on resuming').waitFor();
      await page.getByText('this page wrote 1 row').waitFor();

      const after = await p.book();
      await v.lines('booking_update', key(after)).waitFor();
      for (const id of [...missed, after]) expect(await v.lines('_update', key(id)).count()).toBe(1);
      expect(await v.lines('_update', key(before)).count()).toBe(2);
      expect(await v.lines('replayed').count()).toBeGreaterThan(0);
      // What opens the door is shown without what opens it.
      const log = await page.getByRole('region', { name: 'Log' }).textContent();
      for (const { token } of list) expect(log).not.toContain(token.split('.')[2]);
    },
    { people: { ...p, list: () => list } },
  );
});

test.each(['WebSocket', 'Socket.IO'])('rooms, events and refusals by %s', async (door) => {
  const p = await people();
  const id = await p.book();
  await visit(
    panel(),
    async ({ page }) => {
      const v = new Panel(page);
      await v.connect(door);
      await v.badge('Live');

      const rooms = page.getByRole('region', { name: 'Rooms' });
      await rooms.getByRole('textbox', { name: 'Room' }).fill(`booking:${id}`);
      await v.click('Join');
      await v.lines(`join booking:${id}: acknowledged`).waitFor();
      await rooms.getByText(`booking:${id}`, { exact: true }).waitFor();
      await v.click('Leave');
      await v.lines(`leave booking:${id}: acknowledged`).waitFor();
      await rooms.getByRole('textbox', { name: 'Room' }).fill(`user:${p.provider}`);
      await v.click('Join');
      await rooms.getByRole('alert').getByText('room_forbidden').waitFor();

      await page.getByLabel('Data').fill('{"text": "from the panel"}');
      await v.click('Send');
      await page.getByText(/^Event \d+ is in the log\.$/).waitFor();
      const line = v.lines('notice_update', 'from the panel');
      await line.waitFor();

      // The frame in full, by the mouse and by the keyboard.
      await line.click();
      await page
        .getByLabel('Frame', { exact: true })
        .filter({ hasText: '"text": "from the panel"' })
        .waitFor();
      await page.getByRole('listbox', { name: 'Frames' }).press('Home');
      await expect.poll(() => v.lines().first().getAttribute('aria-selected')).toBe('true');
      await page.getByRole('textbox', { name: 'Filter' }).fill('from the panel');
      await expect.poll(() => v.lines().count()).toBe(1);
    },
    { people: p },
  );
});

test('rooms wait for a door that takes messages', async () => {
  const p = await people();
  await visit(
    panel(),
    async ({ page }) => {
      const v = new Panel(page);
      await v.connect('server-sent events');
      await v.badge('Live');
      await page.getByRole('textbox', { name: 'Room' }).fill('booking:1');
      expect(await page.getByRole('button', { name: 'Join' }).isDisabled()).toBe(true);
    },
    { people: p },
  );
});

/** Signs a token for somebody of one's own making, and connects. */
async function sign(v: Panel, p: People): Promise<void> {
  await v.page.getByRole('tab', { name: 'Sign a token' }).click();
  await v.page.getByRole('textbox', { name: 'User', exact: true }).fill(p.client);
  await v.choose('Good for', '30 seconds');
  await v.click('Sign');
  await v.page.getByText(`${p.client} CLIENT, until`).waitFor();
}

test('a token of one’s own making, and statistics of what goes wrong', async () => {
  const proxy = await new FaultyProxy(inject('url')).listen();
  onTestFinished(() => proxy.close());
  const p = await people();
  await visit(
    `${proxy.url}/websocket-test`,
    async ({ page }) => {
      const v = new Panel(page);
      await sign(v, p);
      await v.choose('Door', 'WebSocket');
      await v.click('Connect');
      await v.badge('Live');
      await v.fact('Errors').getByText('0, 0 retryable').waitFor();
      proxy.cut();
      await v.lines('connection_lost').waitFor();
      await v.fact('Errors').getByText('1, 1 retryable').waitFor();
      await v.fact('In five minutes').getByText('1', { exact: true }).waitFor();
      const codes = page.getByRole('table', { name: 'Errors by code' });
      await codes.getByRole('row', { name: /connection_lost most common 1/ }).waitFor();
      await v.badge('Live');
    },
    { people: p, rough: true },
  );
});

test.each(['WebSocket', 'Socket.IO'])('a token that nobody signed is refused by %s', async (door) => {
  const p = await people();
  await visit(
    panel(),
    async ({ page }) => {
      const v = new Panel(page);
      await page.getByRole('tab', { name: 'Paste' }).click();
      const { token } = p.list()[0] as { token: string };
      const other = token.split('.')[2]?.split('').reverse().join('');
      await page.getByRole('textbox', { name: 'Token' }).fill(token.replace(/[^.]*$/, other ?? ''));
      await v.choose('Door', door);
      await v.click('Connect');
      await v.badge('Signed out');
      await v.lines('token_invalid').first().waitFor();
      await page
        .getByRole('table', { name: 'Errors by code' })
        .getByRole('row', { name: /token_invalid/ })
        .waitFor();
    },
    { people: p, rough: true },
  );
});
