import { fullJitter } from './backoff.js';
import type { Pgbell } from './client.js';
import { PgbellError } from './errors.js';
import { LiveStore, type Store } from './store.js';
import { Timer } from './timer.js';
import type { Key, Reset, Update } from './types.js';

/** Which rows, and how. */
export interface RowsOptions<Row> {
  /** Columns that equal these values. Only columns that every audience sees and that an index begins with; others the server refuses. */
  where?: { readonly [column in keyof Row & string]?: string | number | boolean };
  /** The key columns. Default: what the server says, else `id`. */
  key?: string | readonly string[];
  /** More rows than this are the error `too_many_rows`. Default: 10000. */
  max?: number;
  /** Changes are told at most this often, in milliseconds; the first one at once. Default: 100. */
  throttle?: number;
}

export interface RowsState<Row> {
  /** In the order of their keys. The same array as long as nothing has changed. */
  readonly rows: readonly Row[];
  /** They have not been fetched yet, and nothing has failed. */
  readonly loading: boolean;
  /** They may be out of date: the stream is not live, or they are being fetched again. */
  readonly stale: boolean;
  readonly error: PgbellError | null;
}

/** The caller's rows of one type, live. */
export interface LiveRows<Row> extends Store<RowsState<Row>> {
  /** Fetches them again. What is there stays until then. */
  reload(): void;
}

interface Page {
  rows: Record<string, unknown>[];
  cursor: string;
  next?: string;
  key?: string[];
}

/** Made once for each connection, type and options, so that whoever asks for the same gets the same. */
const made = new WeakMap<object, Map<string, LiveRows<unknown>>>();

/**
 * The user's rows of a type: fetched when the first subscriber comes, kept up to
 * date by events until the last one goes. Exact: once the stream is live, they
 * are what the server would answer, also after reconnects, `entered`, `left`,
 * deletes and resets.
 *
 * It uses the connection and does not open it: call `connect()` or `retain()`.
 */
export function liveRows<R extends object, T extends keyof R & string>(
  bell: Pgbell<R>,
  type: T,
  options: RowsOptions<R[T]> = {},
): LiveRows<R[T]> {
  const all = made.get(bell) ?? new Map<string, LiveRows<unknown>>();
  made.set(bell, all);
  const { where, ...rest } = options;
  const id = JSON.stringify([type, Object.entries(where ?? {}).sort(), Object.entries(rest).sort()]);
  const rows =
    all.get(id) ?? new Replica<unknown>(bell as unknown as Pgbell, type, options as RowsOptions<unknown>);
  all.set(id, rows);
  return rows as LiveRows<R[T]>;
}

/** A row with the values of its key. */
interface Entry<Row> {
  readonly key: readonly unknown[];
  readonly row: Row;
}

/**
 * A replica of some rows.
 *
 * It is fetched while events go on coming. An event that comes after the
 * fetching began may be older or newer than what is fetched, so it is applied
 * twice: to what is shown, at once, and again to what has been fetched. As every
 * event after that moment comes, and in order for each row, the last word on
 * each row is the last event's or the snapshot's, whichever is newer.
 */
class Replica<Row> extends LiveStore<RowsState<Row>> implements LiveRows<Row> {
  readonly #bell: Pgbell;
  readonly #type: string;
  readonly #o: RowsOptions<Row>;
  readonly #where: [string, string][];

  #key: readonly string[];
  /** By their keys as text. */
  #rows = new Map<string, Entry<Row>>();
  #sorted: readonly Row[] | undefined = [];
  #loaded = false;
  /** The fetching that is under way, to abort it. */
  #fetching: AbortController | undefined;
  /** The updates since it began. */
  #held: Update<Row>[] = [];
  #error: PgbellError | null = null;
  #failures = 0;
  #connected = false;
  readonly #retry = new Timer();
  #told = 0;
  readonly #telling = new Timer();

  constructor(bell: Pgbell, type: string, options: RowsOptions<Row>) {
    super({ rows: [], loading: true, stale: true, error: null });
    this.#bell = bell;
    this.#type = type;
    this.#o = options;
    this.#key = options.key ? [options.key].flat() : ['id'];
    this.#where = Object.entries(options.where ?? {}).map(([k, v]) => [k, String(v)]);
  }

  reload(): void {
    if (this.running) this.#load();
  }

  protected start(): (() => void)[] {
    this.#load();
    return [
      this.#bell.on(`${this.#type}_update`, (u: Update<Row>) => this.#update(u)),
      this.#bell.on('reset', (r: Reset) => {
        if (r.type && r.type !== this.#type) return;
        if (r.reason === 'user') this.#forget(); // They were somebody else's.
        this.#load();
      }),
      this.#bell.on('state', ({ connected }) => {
        // What failed while nobody was signed in, or nothing was in reach, may
        // succeed now.
        if (connected && !this.#connected && this.#error) this.#load();
        this.#connected = connected;
        this.#tellNow(); // That they may be stale is said at once.
      }),
      () => {
        this.#fetching?.abort();
        this.#fetching = undefined;
        this.#retry.stop();
        this.#telling.stop();
        this.#forget();
        this.#error = null;
      },
    ];
  }

  #forget(): void {
    this.#rows = new Map();
    this.#sorted = undefined;
    this.#loaded = false;
  }

  async #load(): Promise<void> {
    this.#retry.stop();
    this.#fetching?.abort();
    const mine = new AbortController();
    this.#fetching = mine;
    this.#held = [];
    this.#tell();
    try {
      const rows = await this.#fetch(mine.signal);
      if (mine.signal.aborted) return;
      this.#rows = rows;
      for (const u of this.#held) this.#apply(u);
      this.#loaded = true;
      this.#error = null;
      this.#failures = 0;
    } catch (error) {
      if (mine.signal.aborted) return;
      this.#error = error as PgbellError;
      if (this.#error.retryable) {
        const delay = this.#error.after ?? fullJitter(++this.#failures, 500, 30_000);
        this.#retry.start(delay, () => this.#load());
      }
    }
    this.#fetching = undefined;
    this.#held = [];
    this.#sorted = undefined;
    this.#tell();
  }

  async #fetch(signal: AbortSignal): Promise<Map<string, Entry<Row>>> {
    const query = new URLSearchParams(this.#where);
    const path = () => `api/rows/${encodeURIComponent(this.#type)}?${query}`;
    const rows = new Map<string, Entry<Row>>();
    let page = await this.#bell.anchored(() => this.#bell.request<Page>(path()));
    for (;;) {
      if (page.key && !this.#o.key) this.#key = page.key;
      for (const row of page.rows) {
        const key = this.#keyOf(row);
        rows.set(JSON.stringify(key), { key, row: row as Row });
      }
      if (rows.size > this.#max()) throw this.#tooMany();
      if (!page.next || signal.aborted) return rows;
      query.set('page', page.next);
      page = await this.#bell.request<Page>(path());
    }
  }

  #max(): number {
    return this.#o.max ?? 10_000;
  }

  #tooMany(): PgbellError {
    return new PgbellError(
      'too_many_rows',
      `There are more than ${this.#max()} rows of type ${this.#type}: ask for fewer.`,
    );
  }

  #keyOf(columns: Key): unknown[] {
    return this.#key.map((k) => {
      const value = columns[k];
      if (value === undefined) {
        throw new PgbellError(
          'bad_request',
          `Rows of type ${this.#type} have no column ${k}: name their key in the options.`,
        );
      }
      return value;
    });
  }

  #update(u: Update<Row>): void {
    if (u.op === 'publish') return;
    if (this.#fetching) {
      this.#held.push(u);
      // It takes too long to be worth it: from the beginning.
      if (this.#held.length > this.#max()) return void this.#load();
    }
    try {
      if (this.#loaded) this.#apply(u);
    } catch (error) {
      this.#error = error as PgbellError;
    }
    this.#tell();
  }

  #apply(u: Update<Row>): void {
    if (u.op === 'publish') return;
    const key = this.#keyOf(u.key);
    const id = JSON.stringify(key);
    const row = u.data as Record<string, unknown> | null;
    if (row && this.#where.every(([column, value]) => String(row[column]) === value)) {
      this.#rows.set(id, { key, row: row as Row });
      if (this.#rows.size > this.#max()) this.#error = this.#tooMany();
    } else if (!this.#rows.delete(id)) return;
    this.#sorted = undefined;
  }

  /** The rows in the order of their keys, as the server has them. */
  #inOrder(): readonly Row[] {
    this.#sorted ??= [...this.#rows.values()].sort(byKey).map(({ row }) => row);
    return this.#sorted;
  }

  #picture(): RowsState<Row> {
    return {
      rows: this.#inOrder(),
      loading: !this.#loaded && !this.#error,
      stale: !this.#loaded || !!this.#fetching || !!this.#error || !this.#bell.getState().connected,
      error: this.#error,
    };
  }

  /** Tells the subscribers: at once, or when it is time again. */
  #tell(): void {
    if (this.#telling.set) return;
    const wait = this.#told + (this.#o.throttle ?? 100) - Date.now();
    if (wait > 0) this.#telling.start(wait, () => this.#tellNow());
    else this.#tellNow();
  }

  #tellNow(): void {
    const next = this.#picture();
    const now = this.getState();
    if (
      next.rows === now.rows &&
      next.loading === now.loading &&
      next.stale === now.stale &&
      next.error === now.error
    )
      return;
    this.#told = Date.now();
    this.setState(next);
  }
}

function byKey({ key: a }: Entry<unknown>, { key: b }: Entry<unknown>): number {
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as string | number;
    const y = b[i] as string | number;
    if (x < y) return -1;
    if (x > y) return 1;
  }
  return 0;
}
