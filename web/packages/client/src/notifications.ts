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
import type { AnyRows, Arrived, Notification, Reset } from './types.js';

export interface NotificationsState {
  /** The newest first. */
  readonly notifications: readonly Notification[];
  /** How many are unread, by the server's count: exact, also for those that are not in the list. 10000 stands for more, too. */
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

/** The longest list that grows by itself. Older ones can be fetched again. */
const longest = 500;

class Feed extends LiveStore<NotificationsState> implements LiveNotifications {
  readonly #bell: Pgbell;
  #next: number | string | undefined;
  readonly #retry = new Timer();
  #failures = 0;
  #connected = false;
  /** Counts fetches; only the last one's answer is used. */
  #turn = 0;
  /** How many numbers of unread ones came with events. */
  #counted = 0;
  /** For each fetch under way, what came since it began: it may or may not be in the answer. */
  readonly #since = new Set<Change[]>();

  constructor(bell: Pgbell) {
    super({ notifications: [], unread: 0, loading: true, more: false, error: null });
    this.#bell = bell;
  }

  protected start(): (() => void)[] {
    this.#load();
    return [
      this.#bell.on('notification', (n) => this.#event(arrived(n), n)),
      this.#bell.on('notifications_read', (r) => this.#event(read(r.ids, r.unread), r)),
      this.#bell.on('reset', (r: Reset) => {
        if (r.type && r.type !== 'notification') return;
        if (r.reason === 'user') this.setState(this.empty); // They were somebody else's.
        this.#load();
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
    this.#change(change);
    if (counted.unread !== undefined) this.#counted++;
    // The server could not count in time: ask, but not all clients at once.
    else this.#retry.start(fullJitter(0, 2_000, 2_000), () => this.#load());
  }

  #change(change: Change): void {
    for (const since of this.#since) {
      since.push(change);
      if (since.length > longest) since.shift();
    }
    this.#show(change(this.getState()));
  }

  #show(state: NotificationsState): void {
    const { notifications } = state;
    const most = Math.max(longest, this.getState().notifications.length);
    if (notifications.length <= most) return this.setState(state);
    // Those that were left out are the next to be fetched.
    this.#next = notifications[most - 1]?.id;
    this.setState({ ...state, notifications: notifications.slice(0, most), more: true });
  }

  /** Fetches a page, and shows it with what has come meanwhile, unless it is no longer wanted. */
  async #fetch(
    fetch: () => Promise<Page>,
    wanted: () => boolean,
    merge: (page: Page) => Partial<NotificationsState>,
  ): Promise<void> {
    const since: Change[] = [];
    this.#since.add(since);
    try {
      const page = await fetch();
      if (!wanted()) return;
      this.#next = page.next;
      const merged = { ...this.getState(), ...merge(page), more: !!page.next };
      this.setState(since.reduce((s, change) => change(s), merged));
    } finally {
      this.#since.delete(since);
    }
  }

  async #load(): Promise<void> {
    this.#retry.stop();
    const turn = ++this.#turn;
    const wanted = () => turn === this.#turn;
    try {
      await this.#fetch(
        () => this.#bell.anchored(() => this.#bell.request<Page>('api/notifications')),
        wanted,
        ({ notifications, unread }) => ({ notifications, unread, loading: false, error: null }),
      );
      if (wanted()) this.#failures = 0;
    } catch (e) {
      if (!wanted()) return;
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
    await this.#fetch(
      () => this.#bell.request<Page>(`api/notifications?before=${encodeURIComponent(from)}`),
      () => turn === this.#turn && from === this.#next,
      (page) => {
        const { notifications } = this.getState();
        const seen = new Set(notifications.map((n) => n.id));
        return { notifications: [...notifications, ...page.notifications.filter((n) => !seen.has(n.id))] };
      },
    );
  }

  async markRead(ids: readonly (number | string)[] | 'all'): Promise<void> {
    const all = ids === 'all';
    const was = this.getState();
    // What arrives from here on is not meant.
    const meant = all ? was.notifications.map((n) => n.id) : ids;
    const then = read(meant, all ? 0 : undefined)(was);
    this.setState(then);
    const counted = this.#counted;
    const turn = this.#turn;
    try {
      const { unread } = await this.#bell.request<{ unread: number }>('api/notifications/read', {
        method: 'POST',
        body: JSON.stringify(all ? { all } : { ids }),
      });
      // A number that came before the answer may be later than the answer's. If
      // any were marked, one that is later still is on its way.
      const known = counted === this.#counted ? unread : undefined;
      this.#change((s) => read(meant, known ?? s.unread)(s));
    } catch (error) {
      // Unless the server has said more meanwhile, it is as it was, as far as is known.
      if (counted === this.#counted && turn === this.#turn) this.setState(undone(was, then)(this.getState()));
      if (this.running) this.#load(); // What the server has is what counts.
      throw error;
    }
  }
}

type Change = (s: NotificationsState) => NotificationsState;

function arrived({ unread: counted, ...notification }: Arrived): Change {
  return (s) => {
    if (s.notifications.some((n) => n.id === notification.id)) return { ...s, unread: counted ?? s.unread };
    return {
      ...s,
      unread: counted ?? s.unread + 1,
      notifications: [notification, ...s.notifications],
    };
  };
}

function read(ids: readonly (number | string)[], counted?: number): Change {
  return (s) => {
    const readAt = new Date().toISOString();
    let n = 0;
    const notifications = s.notifications.map((each) => {
      if (each.readAt || !ids.includes(each.id)) return each;
      n++;
      return { ...each, readAt };
    });
    return { ...s, notifications, unread: counted ?? Math.max(0, s.unread - n) };
  };
}

/** Takes back what led from one state to another, whatever else has changed since. */
function undone(was: NotificationsState, then: NotificationsState): Change {
  const marked = new Set(was.notifications.filter((n, i) => n !== then.notifications[i]).map((n) => n.id));
  return (s) => ({
    ...s,
    unread: s.unread + was.unread - then.unread,
    notifications: s.notifications.map((n) => (marked.has(n.id) ? { ...n, readAt: null } : n)),
  });
}
