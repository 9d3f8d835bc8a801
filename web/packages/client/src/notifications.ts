/**
 * A user's notifications. An entry point of its own, so that who shows none does not load it.
 *
 * @module client/notifications
 */

import { fullJitter } from './backoff.js';
import type { Pgbell } from './client.js';
import type { PgbellError } from './errors.js';
import { LiveStore, type Store } from './store.js';
import { Timer } from './timer.js';
import type { AnyRows, Arrived, Notification, NotificationsRead, Reset } from './types.js';

export interface NotificationsState {
  /** The newest first. */
  readonly notifications: readonly Notification[];
  /** How many are unread, by the server's count: exact, also for those that are not in the list. */
  readonly unread: number;
  readonly loading: boolean;
  /** There are older ones than those in the list. */
  readonly more: boolean;
  readonly error: PgbellError | null;
}

/** The user's notifications, live, the same on all devices. */
export interface LiveNotifications extends Store<NotificationsState> {
  /** Marks some as read, or all: at once here, and soon everywhere. Rejects, and takes it back, if the server does not know of it in the end. */
  markRead(ids: readonly (number | string)[] | 'all'): Promise<void>;
  /** Fetches older ones. */
  loadMore(): Promise<void>;
}

interface Page {
  cursor: string;
  notifications: Notification[];
  unread: number;
  next?: number | string;
}

const made = new WeakMap<object, Feed>();

/** The notifications of the user of a connection. They are fetched when the first subscriber comes. */
export function liveNotifications<R extends object = AnyRows>(bell: Pgbell<R>): LiveNotifications {
  const feed = made.get(bell) ?? new Feed(bell as unknown as Pgbell);
  made.set(bell, feed);
  return feed;
}

/** The longest list that is kept. Older ones can be fetched again. */
const longest = 500;

class Feed extends LiveStore<NotificationsState> implements LiveNotifications {
  readonly #bell: Pgbell;
  #next: number | string | undefined;
  readonly #retry = new Timer();
  #failures = 0;
  #connected = false;
  /** Counts fetches; only the last one's answer is used. */
  #turn = 0;
  /** What came while the list was being fetched: it may or may not be in it. */
  #since: Change[] = [];

  constructor(bell: Pgbell) {
    super({ notifications: [], unread: 0, loading: true, more: false, error: null });
    this.#bell = bell;
  }

  protected start(): (() => void)[] {
    this.#load();
    return [
      this.#bell.on('notification', (n) => this.#event(arrived(n), n)),
      this.#bell.on('notifications_read', (r) => this.#event(read(r.all ? 'all' : (r.ids ?? []), r), r)),
      this.#bell.on('reset', (r: Reset) => {
        if (!r.type || r.type === 'notification') this.#load();
      }),
      this.#bell.on('state', ({ connected }) => {
        if (connected && !this.#connected && this.getState().error) this.#load();
        this.#connected = connected;
      }),
      () => {
        this.#turn++;
        this.#retry.stop();
      },
    ];
  }

  #event(change: Change, counted: { unread?: number }): void {
    this.#since.push(change);
    if (this.#since.length > longest) this.#since.shift();
    this.setState(change(this.getState()));
    // The server could not count in time: ask, but not all clients at once.
    if (counted.unread === undefined) this.#retry.start(fullJitter(0, 2_000, 2_000), () => this.#load());
  }

  async #load(): Promise<void> {
    this.#retry.stop();
    const turn = ++this.#turn;
    this.#since = [];
    try {
      const page = await this.#bell.anchored(() => this.#bell.request<Page>('api/notifications'));
      if (turn !== this.#turn) return;
      this.#next = page.next;
      this.#failures = 0;
      const { notifications, unread } = page;
      const fetched: NotificationsState = {
        notifications,
        unread,
        loading: false,
        more: !!page.next,
        error: null,
      };
      this.setState(this.#since.reduce((s, change) => change(s), fetched));
    } catch (e) {
      if (turn !== this.#turn) return;
      const error = e as PgbellError;
      this.setState({ ...this.getState(), loading: false, error });
      if (error.retryable && error.strategy !== 'fallback') {
        this.#retry.start(error.after ?? fullJitter(++this.#failures, 500, 30_000), () => this.#load());
      }
    }
  }

  async loadMore(): Promise<void> {
    const turn = this.#turn;
    const from = this.#next;
    if (!from) return;
    const page = await this.#bell.request<Page>(`api/notifications?before=${encodeURIComponent(from)}`);
    if (turn !== this.#turn || from !== this.#next) return;
    this.#next = page.next;
    const seen = new Set(this.getState().notifications.map((n) => n.id));
    const notifications = [
      ...this.getState().notifications,
      ...page.notifications.filter((n) => !seen.has(n.id)),
    ];
    this.setState({ ...this.getState(), notifications, more: !!page.next });
  }

  async markRead(ids: readonly (number | string)[] | 'all'): Promise<void> {
    const body = ids === 'all' ? { all: true } : { ids };
    this.setState(read(ids)(this.getState()));
    try {
      const { unread } = await this.#bell.request<{ unread: number }>('api/notifications/read', {
        method: 'POST',
        body: JSON.stringify(body),
      });
      this.#event(read(ids, { unread }), { unread });
    } catch (error) {
      this.#load(); // What the server has is what counts.
      throw error;
    }
  }
}

type Change = (s: NotificationsState) => NotificationsState;

function arrived({ unread: counted, ...notification }: Arrived): Change {
  return (s) => {
    const unread = (counted as number | undefined) ?? s.unread + 1;
    if (s.notifications.some((n) => n.id === notification.id)) return { ...s, unread };
    const notifications = [notification, ...s.notifications];
    return { ...s, unread, notifications: notifications.slice(0, longest) };
  };
}

function read(ids: readonly (number | string)[] | 'all', known?: Pick<NotificationsRead, 'unread'>): Change {
  return (s) => {
    const readAt = new Date().toISOString();
    let n = 0;
    const notifications = s.notifications.map((each) => {
      if (each.readAt || (ids !== 'all' && !ids.includes(each.id))) return each;
      n++;
      return { ...each, readAt };
    });
    return { ...s, notifications, unread: known?.unread ?? (ids === 'all' ? 0 : Math.max(0, s.unread - n)) };
  };
}
