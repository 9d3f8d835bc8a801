// Takes the pictures of the documentation from the real pages: builds pgbell,
// runs its demo with a private Postgres, and looks at it with Chromium. The
// pages have to be built before. Run it as: task screenshots
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const root = join(import.meta.dirname, '..', '..');
const images = join(root, 'docs', 'images');
/** The most that a picture may weigh, in bytes. */
const most = 300 * 1024;

const directory = mkdtempSync(join(tmpdir(), 'pgbell-screenshots-'));
// Run by root, Postgres gets an account of its own, which has to pass here.
chmodSync(directory, 0o755);
const binary = process.env.PGBELL_BINARY ?? join(directory, 'pgbell');
if (!process.env.PGBELL_BINARY) {
  execFileSync('go', ['build', '-o', binary, './cmd/pgbell'], { cwd: root, stdio: 'inherit' });
}
const args = ['--listen', '127.0.0.1:0', '--data', join(directory, 'data'), '--rate', '6', '--seed', '11'];
const demo = spawn(binary, ['demo', ...args], { cwd: directory, stdio: ['ignore', 'pipe', 'inherit'] });
let browser;
try {
  const url = await new Promise((resolve, reject) => {
    let said = '';
    demo.stdout.on('data', (text) => {
      said = (said + text).slice(-10_000);
      const found = /Open\s+(\S+)\/demo\n/.exec(said);
      if (found) resolve(found[1]);
    });
    demo.on('exit', () => reject(new Error(`the demo has ended: ${said}`)));
  });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-sync', '--force-color-profile=srgb'],
  });
  mkdirSync(images, { recursive: true });
  for (const scheme of ['light', 'dark']) await take(url, scheme);
} finally {
  await browser?.close();
  demo.kill('SIGTERM');
  if (demo.exitCode === null) await new Promise((resolve) => demo.once('exit', resolve));
  rmSync(directory, { recursive: true, force: true });
}

/** All pictures in one scheme. */
async function take(url, colorScheme) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 860 },
    deviceScaleFactor: 1,
    colorScheme,
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  const shoot = async (name, of = page) => {
    const path = join(images, `${name}${colorScheme === 'dark' ? '-dark' : ''}.png`);
    await of.screenshot({ path });
    const { size } = statSync(path);
    if (size > most) throw new Error(`${path} has ${size} bytes, more than ${most}`);
    console.log(path.slice(root.length + 1), `${Math.round(size / 1024)} kB`);
  };

  // A click on one side that has arrived on the other.
  await page.goto(`${url}/demo`);
  await page.locator('[data-status=live]').nth(1).waitFor();
  await page
    .getByText(/\(\d{2,}\)/)
    .nth(1)
    .waitFor({ timeout: 120_000 }); // the marketplace has some history
  const provider = page.getByRole('region', { name: 'Provider dashboard' });
  const client = await page.getByRole('combobox', { name: 'Client' }).inputValue();
  const trip = page.getByText(/accept booking \d+: \d+ ms/).first();
  for (let tries = 1; ; tries++) {
    await page.getByRole('button', { name: 'Book the provider' }).click();
    // The simulated provider may be faster with this one; then there will be another.
    try {
      const accept = provider.getByRole('row').filter({ hasText: client });
      await accept
        .getByRole('button', { name: /^accept booking/ })
        .first()
        .click({ timeout: 10_000 });
      await trip.waitFor({ timeout: 10_000 });
      break;
    } catch (error) {
      if (tries === 5) throw error;
    }
  }
  // A click scrolls to what it clicks.
  await page.evaluate(() => {
    scrollTo(0, 0);
    for (const list of document.querySelectorAll('[role=region]')) list.scrollTo(0, 0);
  });
  await shoot('demo');

  // Every door has somebody when the console is looked at.
  const panels = [];
  for (const door of ['WebSocket', 'server-sent events', 'long polling']) {
    const panel = await context.newPage();
    panels.push(panel);
    await panel.goto(`${url}/websocket-test`);
    await panel.getByRole('combobox', { name: 'Somebody of the demo' }).click();
    await panel.getByRole('option', { name: /Alice/ }).click();
    await panel.getByRole('combobox', { name: 'Door' }).click();
    await panel.getByRole('option', { name: door, exact: true }).click();
    await panel.getByRole('button', { name: 'Connect', exact: true }).click();
    await panel.getByRole('option').filter({ hasText: '_update' }).nth(4).waitFor();
  }
  await page.goto(`${url}/console`);
  await page.getByRole('cell', { name: 'public.bookings' }).waitFor();
  // A minute of history makes a chart.
  await page.waitForFunction(
    () => Number(document.querySelector('[data-samples]')?.dataset.samples) >= 40,
    null,
    {
      timeout: 180_000,
      polling: 500,
    },
  );
  await shoot('console');

  const [panel] = panels;
  await panel.bringToFront();
  await panel.getByRole('listbox', { name: 'Frames' }).scrollIntoViewIfNeeded();
  const last = panel.getByRole('option').filter({ hasText: 'booking_update' }).last();
  await last.click();
  // The numbers below the header, and what follows them.
  await panel.getByRole('region', { name: 'Numbers' }).evaluate((numbers) => {
    scrollBy(0, numbers.getBoundingClientRect().top - 72);
  });
  await shoot('test-panel', panel);
  await context.close();
}
