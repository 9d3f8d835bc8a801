import type { ErrorStats, PgbellError } from './errors.js';
import { ask, json } from './http.js';
import { Machine } from './machine.js';
import type { Events, Options } from './options.js';
import type { State } from './state.js';
import { Listeners, type Store } from './store.js';
import type { TokenSource } from './token.js';
import type { AnyRows } from './types.js';

/**
 * One user's connection to a pgbell server. It stays connected until it is
 * closed: it reconnects, resumes, renews its token, and changes doors by itself.
 * Each event comes once. After a `reset`, what was fetched before has to be
 * fetched again, which {@link liveRows} does by itself.
 *
 * ```ts
 * const bell = new Pgbell<{ booking: Booking }>({ url: 'https://bell.example', token: getToken });
 * bell.on('booking_update', ({ action, data }) => console.log(action, data));
 * bell.connect();
 * ```
 */
export class Pgbell<R extends object = AnyRows> implements Store<State> {
  // biome-ignore lint/suspicious/noExplicitAny: the types are those of Events
  readonly #listeners = new Map<string, Listeners<[any]>>();
  readonly #machine: Machine;
  #holders = 0;

  constructor(options: Options) {
    this.#machine = new Machine(options, (event, data) => this.#listeners.get(event)?.call(data));
  }

  /** Where the stream stands: everything up to here was delivered. Opaque. */
  get cursor(): string | undefined {
    return this.#machine.position.cursor;
  }

  getState(): State {
    return this.#machine.state;
  }

  subscribe(changed: () => void): () => void {
    return this.on('state', changed);
  }

  /** Listens to an event until the returned function is called. */
  on<E extends keyof Events<R> & string>(event: E, listener: (data: Events<R>[E]) => void): () => void {
    let all = this.#listeners.get(event);
    if (!all) {
      all = new Listeners();
      this.#listeners.set(event, all);
    }
    return all.add(listener);
  }

  /** Numbers about what went wrong since the client was made. */
  stats(): ErrorStats {
    return this.#machine.errors.stats();
  }

  /** Starts. Without effect while the client is connected or on the way. */
  connect(): void {
    this.#machine.connect();
  }

  /** Ends the connection. What is missed until the next `connect()` comes then. */
  close(): void {
    this.#machine.close();
  }

  /** Tries again at once, whatever the client is waiting for. A connection that is open is made anew. */
  reconnect(): void {
    this.#machine.reconnect();
  }

  /** Connects, and closes when everybody who called this has called the returned function. */
  retain(): () => void {
    this.#holders++;
    this.connect();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holders--;
      // Whoever comes in the same breath keeps it open: a component that is
      // mounted again, or the next view.
      setTimeout(() => this.#holders || this.close(), 0);
    };
  }

  /** Another token, or another source of tokens. It takes effect at once. */
  setToken(token: string | TokenSource): void {
    this.#machine.tokens.replace(token);
    this.#machine.tokenChanged();
  }

  /** Joins a room, in this session and those that follow, until `leave()`. Waits while there is no WebSocket. Rejects if the server refuses. */
  join(room: string): Promise<void> {
    return this.#machine.rooms.join(room);
  }

  leave(room: string): Promise<void> {
    return this.#machine.rooms.leave(room);
  }

  /**
   * Asks the server's HTTP interface and returns the JSON of the answer. A
   * token that is refused is renewed once. Rejects with a {@link PgbellError}.
   * The signal's default is a timeout.
   */
  async request<T = unknown>(path: string, init: RequestInit = {}): Promise<T> {
    const { surroundings: s, tokens } = this.#machine;
    for (let first = true; ; first = false) {
      try {
        const answer = await ask(s.fetch, new URL(path, s.base), await tokens.get(), {
          signal: AbortSignal.timeout(3 * s.timeout),
          ...init,
          headers: { ...(init.body != null && { 'Content-Type': 'application/json' }), ...init.headers },
        });
        return await json<T>(answer, s.parse);
      } catch (error) {
        if (!first || (error as PgbellError).strategy !== 'refresh' || !tokens.renewable) throw error;
        tokens.drop();
      }
    }
  }

  /** @internal See {@link Position.anchored}. */
  anchored<T extends { cursor?: string }>(fetch: () => Promise<T>): Promise<T> {
    return this.#machine.position.anchored(fetch);
  }
}
