import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, extname, join, normalize } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, inject, onTestFinished, test } from 'vitest';
import { type Fresh, freshProject } from './fresh.js';
import { awaitOutput, stopProcess } from './process.js';
import { type Market, market, mint, Node } from './server.js';

const documents = join(import.meta.dirname, '..', '..', 'docs');
const types: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript' };

let project: Fresh;
let site: Server;
let origin: string;
let bell: Node;
let browser: Browser;
let m: Market;

/** An example of docs/clients.md by the name of its file, with this server's address. */
function example(name: string): string {
  const text = readFileSync(join(documents, 'clients.md'), 'utf8');
  const found = new RegExp(`^\`\`\`\\w+ ${name}\\n(.*?)^\`\`\`$`, 'ms').exec(text);
  if (!found?.[1]) throw new Error(`docs/clients.md has no example ${name}`);
  return found[1].replaceAll('https://bell.example', bell.url);
}
function write(path: string, text: string): string {
  const file = join(project.directory, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

beforeAll(async () => {
  project = freshProject('react', 'react-dom', '@types/react', '@types/node', 'ws', 'socket.io-client@4.8.4');
  // The application's own server: its files, and tokens for whoever is signed in.
  site = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://site').pathname);
    if (path === '/token') return response.end(mint(m.client));
    const file = join(project.directory, path);
    if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
    response.setHeader('Content-Type', types[extname(file)] ?? 'application/octet-stream');
    response.end(readFileSync(file));
  });
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  bell = new Node('serve', { PGBELL_ORIGINS: origin });
  await bell.start();
  browser = await chromium.connect(inject('browser'));
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await bell?.stop();
  site?.close();
  project?.remove();
});
beforeEach(async () => {
  m = await market();
  return () => m.close();
});

/** Opens a page of the site and sees a row come and change. */
async function follow(path: string): Promise<void> {
  const page: Page = await browser.newPage();
  const said: string[] = [];
  page.on('console', (c) => said.push(c.text()));
  page.on('pageerror', (e) => said.push(e.message));
  try {
    await page.goto(origin + path);
    const id = await m.book();
    await page
      .getByRole('listitem')
      .filter({ hasText: `${id} PENDING` })
      .waitFor();
    await m.sql(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = $1`, [id]);
    await page
      .getByRole('listitem')
      .filter({ hasText: `${id} CONFIRMED` })
      .waitFor();
  } catch (error) {
    (error as Error).message += `\nthe page said ${said.join('\n')}`;
    throw error;
  } finally {
    await page.close();
  }
}

test('plain JavaScript', async () => {
  write('index.html', `<!doctype html><html lang="en"><body>${example('index.html')}</body></html>`);
  await follow('/index.html');
});

test('React', async () => {
  write('react/bookings.tsx', example('bookings.tsx'));
  write(
    'react/main.tsx',
    `import { createRoot } from 'react-dom/client'; import { App } from './bookings'; createRoot(document.body).render(<App />);`,
  );
  write(
    'react/index.html',
    '<!doctype html><html lang="en"><body></body><script type="module" src="./main.tsx"></script></html>',
  );
  project.tool('vite/bin/vite.js', 'build', 'react', '--base', './', '--logLevel', 'error');
  await follow('/react/dist/index.html');
});

test('notifications', async () => {
  write('inbox/inbox.tsx', example('inbox.tsx'));
  write(
    'inbox/main.tsx',
    `import { PgbellProvider } from '@pgbell/react'; import { createRoot } from 'react-dom/client'; import { Inbox } from './inbox';
     const token = async () => (await fetch('/token')).text();
     createRoot(document.body).render(<PgbellProvider url="${bell.url}" token={token}><Inbox /></PgbellProvider>);`,
  );
  write(
    'inbox/index.html',
    '<!doctype html><html lang="en"><body></body><script type="module" src="./main.tsx"></script></html>',
  );
  project.tool('vite/bin/vite.js', 'build', 'inbox', '--base', './', '--logLevel', 'error');
  const page = await browser.newPage();
  onTestFinished(() => page.close());
  await page.goto(`${origin}/inbox/dist/index.html`);
  const unread = (n: number) => page.getByRole('region', { name: `${n} unread` }).waitFor();
  await unread(0);
  const id = await m.book();
  await m.sql(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = $1`, [id]);
  await unread(1);
  await page.getByText(`• Your booking has been accepted! Booking ${id} is confirmed.`).click();
  await unread(0);
  await m.sql(`SELECT pgbell.notify(ARRAY[$1], 'Hello')`, [m.client]);
  await unread(1);
  await page.getByRole('button', { name: 'Mark all as read' }).click();
  await unread(0);
});

test('a Next.js route handler makes tokens that the server accepts', async () => {
  const file = write('route.ts', example('route.ts'));
  const strict = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'esnext', '--types', 'node'];
  const bundler = ['--moduleResolution', 'bundler', '--lib', 'es2022,dom'];
  expect(project.tool('typescript/bin/tsc', '--ignoreConfig', 'route.ts', ...strict, ...bundler)).toBe('');
  process.env.PGBELL_JWT_SECRET = inject('secret');
  const { GET } = await import(/* @vite-ignore */ file);
  const token = await (GET() as Response).text();
  const answer = await fetch(`${bell.url}/api/rows/booking`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  expect(answer.status).toBe(200);
});

test.each(['service.mjs', 'socketio.mjs'])('%s', async (name) => {
  const file = write(name, example(name));
  const env = { ...process.env, TOKEN: mint(m.client) };
  const child: ChildProcess = spawn(process.execPath, [file], { cwd: project.directory, env });
  onTestFinished(() => stopProcess(child));
  await awaitOutput(child, /^live$/m);
  const accepted = awaitOutput(child, /^accepted (\d+)$/m);
  const id = await m.book();
  await m.sql(`UPDATE bookings SET status = 'CONFIRMED' WHERE id = $1`, [id]);
  expect(Number((await accepted)[1])).toBe(id);
});
