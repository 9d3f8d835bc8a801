import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';
import { expect, inject, onTestFinished } from 'vitest';
import { type Market, market, mint } from '../../../../testing/server.js';

let browser: Promise<Browser> | undefined;

/** How long a page may take to become what it is waited for. */
const patience = 20_000;

export type Side = 'Client' | 'Provider';

/** One thing that a dashboard showed. */
interface Sight {
  at: number;
  side: string;
  /** What the badge says. */
  badge: string;
  rows: number;
}

/** What a badge can say. */
export const words = ['Live', 'Polling', 'Offline', 'Connecting', 'Not connected', 'Signed out'] as const;
export type Word = (typeof words)[number];

/** The people of one test: the demo's page lets a visitor be any of them. */
export interface People extends Market {
  /** What the page gets to sign in with; a new token each time it asks. */
  list: () => object[];
}

/** A client and a provider with no rows but those that the test makes. Their tokens live for so many seconds. */
export async function people(seconds = 3600): Promise<People> {
  const m = await market();
  onTestFinished(() => m.close());
  const list = () => [
    {
      id: m.client,
      name: 'Clara Client',
      role: 'CLIENT',
      suggested: true,
      token: mint(m.client, ['CLIENT'], seconds),
    },
    {
      id: m.provider,
      name: 'Pia Provider',
      role: 'PROVIDER',
      suggested: true,
      token: mint(m.provider, ['PROVIDER'], seconds),
    },
  ];
  return { ...m, list };
}

export interface VisitOptions extends BrowserContextOptions {
  /** Who can be chosen. Default: the demo's people. */
  people?: People;
  /** Whether requests may fail: then the browser's own complaints about them are no fault of the page. */
  rough?: boolean;
  /** Prepares the page before it is opened. */
  before?: (page: Page) => Promise<void>;
}

/** A page under test. */
export class Visit {
  readonly #complaints: string[] = [];
  readonly #opened = Date.now();
  readonly #sockets: string[] = [];

  constructor(
    readonly page: Page,
    rough: boolean,
  ) {
    page.on('pageerror', (e) => this.#complaints.push(e.message));
    page.on('console', (m) => {
      if (m.type() !== 'error' && m.type() !== 'warning') return;
      if (rough && /Failed to load resource|WebSocket connection to/.test(m.text())) return;
      this.#complaints.push(m.text());
    });
    page.on('websocket', (s) => {
      this.#sockets.push(`opened ${s.url()} after ${Date.now() - this.#opened} ms`);
      s.on('close', () => this.#sockets.push(`closed after ${Date.now() - this.#opened} ms`));
    });
  }

  side(side: Side): Locator {
    return this.page.getByRole('region', { name: `${side} dashboard` });
  }

  /** Waits until the badges of both sides, or of one, say something. */
  async badge(word: Word, ...sides: Side[]): Promise<void> {
    for (const side of sides.length ? sides : (['Client', 'Provider'] as const))
      await this.side(side)
        .getByRole('status')
        .filter({ hasText: new RegExp(`^${word}$`) })
        .waitFor();
  }

  /** The line of a booking on one side. */
  booking(side: Side, id: number): Locator {
    return this.side(side)
      .getByRole('row')
      .filter({ has: this.page.getByRole('cell', { name: String(id), exact: true }) });
  }

  button(side: Side, action: string, booking: number): Locator {
    return this.side(side).getByRole('button', { name: `${action} booking ${booking}`, exact: true });
  }

  /** What the dashboards showed so far, without what did not change. */
  async sights(side?: Side): Promise<Sight[]> {
    const all: Sight[] = await this.page.evaluate('globalThis.sights');
    return all.filter((s) => !side || s.side === `${side} dashboard`);
  }

  /** What the badge of a side said so far. */
  async said(side: Side): Promise<string[]> {
    const badges = (await this.sights(side)).map((s) => s.badge);
    return badges.filter((b, i) => b !== badges[i - 1]);
  }

  /** Everything that may explain a failure. */
  async report(): Promise<string> {
    const text = await this.page.evaluate('document.body.innerText').catch(String);
    const sights = await this.sights().catch(() => []);
    return [
      `at ${this.page.url()}, ${Date.now() - this.#opened} ms after it was opened`,
      `complaints: ${this.#complaints.join('\n') || 'none'}`,
      `sockets: ${this.#sockets.join(', ') || 'none'}`,
      `badges: ${sights.map((s) => `${s.side} ${s.badge} ${s.rows} rows at ${s.at}`).join(', ')}`,
      `text:\n${text}`,
    ].join('\n');
  }

  /** The page has complained of nothing. */
  content(): void {
    expect(this.#complaints).toEqual([]);
  }
}

/** Opens a page and closes it in the end. A failure tells what the page showed. */
export async function visit(
  url: string,
  use: (visit: Visit) => Promise<void>,
  { people, rough = false, before, ...options }: VisitOptions = {},
): Promise<void> {
  browser ??= chromium.connect(inject('browser'));
  const context = await (await browser).newContext({ viewport: { width: 1500, height: 1000 }, ...options });
  context.setDefaultTimeout(patience);
  try {
    const page = await context.newPage();
    await page.addInitScript(watch, words);
    if (people) await page.route('**/demo/people', (route) => route.fulfill({ json: people.list() }));
    await before?.(page);
    const v = new Visit(page, rough);
    try {
      await page.goto(url);
      await use(v);
      v.content();
    } catch (error) {
      (error as Error).message += `\n${await v.report()}`;
      throw error;
    }
  } finally {
    await context.close();
  }
}

/** Runs in the page: notes what the dashboards show whenever it changes. */
function watch(badges: readonly string[]): void {
  const sights: { at: number; side: string; badge: string; rows: number }[] = [];
  Object.assign(globalThis, { sights });
  const last = new Map<string, string>();
  const look = () => {
    for (const section of document.querySelectorAll('section[aria-label$=" dashboard"]')) {
      const side = section.getAttribute('aria-label') ?? '';
      const states = [...section.querySelectorAll('[role=status]')].map((s) => s.textContent ?? '');
      const badge = states.find((s) => badges.includes(s)) ?? '';
      const rows = section.querySelectorAll('tbody tr').length;
      const sight = `${badge} ${rows}`;
      if (last.get(side) === sight) continue;
      last.set(side, sight);
      sights.push({ at: Math.round(performance.now()), side, badge, rows });
    }
  };
  new MutationObserver(look).observe(document, {
    subtree: true,
    childList: true,
    characterData: true,
    attributes: true,
  });
}
