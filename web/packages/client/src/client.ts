import { fullJitter } from './backoff.js';
import type { Door, DoorEvents, DoorName, Surroundings, WebSocketConstructor } from './door.js';
import { ErrorLog, type ErrorStats, type PgbellError } from './errors.js';
import { ask, json } from './http.js';
import type { Events, Options } from './options.js';
import { watchPage } from './page.js';
import { openPoll } from './poll.js';
import { Position } from './position.js';
import { Rooms } from './rooms.js';
import { openSocket } from './socket.js';
import { openEventStream } from './sse.js';
import { type Phase, type State, type Status, transitions } from './state.js';
import { Listeners, type Store } from './store.js';
import { Timer } from './timer.js';
import { type TokenSource, Tokens } from './token.js';
import type { AnyRows, Envelope, Session } from './types.js';

/** A door that is being opened or is open. */
interface Attempt {
  /** Its place among the doors. */
  index: number;
  door: Door;
  live: boolean;
  /** It has been live for a while. */
  healthy: boolean;
  /** It took over from another door that worked, and is not live yet. */
  climbing: boolean;
}

const openers: Readonly<Record<DoorName, (s: Surroundings, on: DoorEvents) => Door>> = {
  websocket: openSocket,
  sse: openEventStream,
  poll: openPoll,
};

/** After so many sessions in a row that did not last, the first door is not tried first. */
const shaky = 3;
/** Once the first door has worked, so many rounds may fail before others are tried: it is more likely that the server is away than that something is in the way. */
const faithful = 2;
/** The pause where the server asks for one without saying how long. */
const pause = 5000;
const none: readonly string[] = [];
const climbMax = 5 * 60_000;

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
  readonly #o: Options;
  readonly #s: Surroundings;
  readonly #doors: readonly DoorName[];
  readonly #tokens: Tokens;
  readonly #position: Position;
  readonly #rooms = new Rooms();
  readonly #errors = new ErrorLog();
  // biome-ignore lint/suspicious/noExplicitAny: the types are those of Events
  readonly #listeners = new Map<string, Listeners<[any]>>();

  #phase: Phase = 'idle';
  #state: State;
  #active: Attempt | undefined;
  /** An attempt at the first door while another one serves. */
  #probe: Attempt | undefined;
  /** Counts what was begun, so that whoever awaited something notices that it is over. */
  #turn = 0;
  #failures = 0;
  #shaky = 0;
  #climbs = 0;
  /** The first door has been healthy. */
  #proven = false;
  /** The token at hand replaces one that was refused, and has not been accepted yet. */
  #renewed = false;
  /** Something has failed since the stream was last live. */
  #down = false;
  /** The server asked for a pause, which nothing shortens. */
  #patient = false;
  /** The server has its database. */
  #streaming = true;
  #error: PgbellError | null = null;
  #retryAt: number | null = null;
  #session: Partial<Session> = {};
  #settle = () => {};

  readonly #retry = new Timer();
  readonly #health = new Timer();
  readonly #renewal = new Timer();
  readonly #climb = new Timer();
  #unwatch: (() => void) | undefined;
  #holders = 0;

  constructor(options: Options) {
    this.#o = options;
    const page = globalThis as { location?: Location; WebSocket?: WebSocketConstructor };
    const base = new URL(options.url ?? '/', page.location?.href ?? 'http://localhost');
    if (!base.pathname.endsWith('/')) base.pathname += '/';
    this.#s = {
      base,
      WebSocket: options.WebSocket ?? page.WebSocket,
      fetch: options.fetch ?? ((...args) => fetch(...args)),
      parse: options.parse ?? JSON.parse,
      timeout: options.timeout ?? 10_000,
      heartbeat: options.heartbeat ?? 25_000,
      pollInterval: options.pollInterval ?? 60_000,
      longPoll: Math.min(options.longPoll ?? 25_000, 60_000),
      frame: options.trace?.frame,
    };
    this.#doors = options.doors?.length ? options.doors : ['websocket', 'sse', 'poll'];
    this.#tokens = new Tokens(options.token);
    this.#position = new Position(options.cursor, options.storage, options.storageKey);
    this.#state = this.#picture();
  }

  /** Where the stream stands: everything up to here was delivered. Opaque. */
  get cursor(): string | undefined {
    return this.#position.cursor;
  }

  getState(): State {
    return this.#state;
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
    return this.#errors.stats();
  }

  /** Starts. Without effect while the client is connected or on the way. */
  connect(): void {
    if (this.#phase !== 'idle' && this.#phase !== 'stopped') return;
    this.#unwatch ??= watchPage(
      () => this.#woken(),
      () => this.#position.save(),
    );
    this.#begin();
  }

  /** Ends the connection. What is missed until the next `connect()` comes then. */
  close(): void {
    if (this.#phase === 'idle') return;
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#abandon();
    this.#error = null;
    this.#position.save();
    this.#enter('idle');
    this.#rooms.close();
  }

  /** Tries again at once, whatever the client is waiting for. A connection that is open is made anew. */
  reconnect(): void {
    if (this.#phase === 'idle') return this.connect();
    this.#abandon();
    this.#begin();
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
    this.#tokens.replace(token);
    this.#renewed = false;
    if (this.#phase === 'stopped') this.reconnect();
    else if (this.#active?.live) void this.#renew();
  }

  /** Joins a room, in this session and those that follow, until `leave()`. Waits while there is no WebSocket. Rejects if the server refuses. */
  join(room: string): Promise<void> {
    return this.#rooms.join(room);
  }

  leave(room: string): Promise<void> {
    return this.#rooms.leave(room);
  }

  /**
   * Asks the server's HTTP interface and returns the JSON of the answer. A
   * token that is refused is renewed once. Rejects with a {@link PgbellError}.
   * The signal's default is a timeout.
   */
  async request<T = unknown>(path: string, init: RequestInit = {}): Promise<T> {
    for (let first = true; ; first = false) {
      try {
        const answer = await ask(this.#s.fetch, new URL(path, this.#s.base), await this.#tokens.get(), {
          signal: AbortSignal.timeout(3 * this.#s.timeout),
          ...init,
          headers: { ...(init.body != null && { 'Content-Type': 'application/json' }), ...init.headers },
        });
        return await json<T>(answer, this.#s.parse);
      } catch (error) {
        if (!first || (error as PgbellError).strategy !== 'refresh' || !this.#tokens.renewable) throw error;
        this.#tokens.drop();
      }
    }
  }

  /** @internal See {@link Position.anchored}. */
  anchored<T extends { cursor?: string }>(fetch: () => Promise<T>): Promise<T> {
    return this.#position.anchored(fetch);
  }

  // From here on: the machine. See Phase.

  #enter(phase: Phase): void {
    const from = this.#phase;
    if (!transitions[from].includes(phase)) throw new Error(`pgbell: no way from ${from} to ${phase}`);
    this.#phase = phase;
    if (from !== phase) this.#o.trace?.phase?.(from, phase);
    this.#publish();
  }

  #picture(): State {
    const phase = this.#phase;
    const door = phase === 'open' && this.#active ? (this.#doors[this.#active.index] as DoorName) : null;
    let status: Status;
    if (door) status = !this.#streaming ? 'offline' : door === 'poll' ? 'polling' : 'live';
    else if (phase === 'idle' || phase === 'stopped') status = phase;
    else status = this.#down ? 'offline' : 'connecting';
    return {
      status,
      connected: status === 'live' || status === 'polling',
      door,
      error: this.#error,
      failures: this.#failures,
      retryAt: this.#retryAt,
      userId: this.#session.userId ?? null,
      roles: this.#session.roles ?? none,
    };
  }

  #publish(): void {
    if (this.#active?.climbing) return; // Whether it works is not known yet.
    const next = this.#picture();
    const now = this.#state;
    if ((Object.keys(next) as (keyof State)[]).every((k) => next[k] === now[k])) return;
    this.#state = next;
    this.#emit('state', next);
  }

  #emit(event: string, data: unknown): void {
    this.#listeners.get(event)?.call(data);
  }

  /** Starts a round with the best door that is worth trying. */
  #begin(): void {
    this.#retry.stop();
    this.#retryAt = null;
    this.#try(this.#shaky >= shaky && this.#doors.length > 1 ? 1 : 0);
  }

  #try(index: number): void {
    const turn = ++this.#turn;
    this.#enter('connecting');
    // The token first: a server waits only so long for it.
    this.#tokens.get().then(
      () => {
        if (turn === this.#turn) this.#active = this.#open(index);
      },
      (error) => {
        if (turn === this.#turn) this.#lost(error);
      },
    );
  }

  #open(index: number): Attempt {
    const attempt = { index, live: false, healthy: false, climbing: false } as Attempt;
    const active = () => attempt === this.#active;
    attempt.door = openers[this.#doors[index] as DoorName](this.#s, {
      opened: () => {
        if (attempt === this.#probe) this.#changeOver(attempt);
        if (active()) void this.#greet(attempt);
      },
      live: (session, cursor) => {
        if (active()) this.#live(attempt, session, cursor);
      },
      message: (m) => {
        if (active()) this.#receive(m);
      },
      closed: (error) => {
        if (active()) this.#lost(error);
        else if (attempt === this.#probe) {
          this.#probe = undefined;
          this.#planClimb();
        }
      },
    });
    return attempt;
  }

  /** Shows the token and the cursor at a door that has opened. */
  async #greet(attempt: Attempt): Promise<void> {
    try {
      const token = await this.#tokens.get();
      // Rows that are being fetched say where the stream is to start. If there
      // are none, the server chooses, and rows that are fetched from now on wait
      // for that: they could be older.
      const settle = await this.#position.claim();
      if (attempt !== this.#active) return settle();
      this.#settle = settle;
      attempt.door.authenticate(token, this.cursor);
    } catch (error) {
      if (attempt === this.#active) this.#lost(error as PgbellError);
    }
  }

  /** The stream is live at a door, or goes on there with another token. */
  #live(attempt: Attempt, session: Partial<Session>, cursor: string | undefined): void {
    const first = !attempt.live;
    const before = this.#session;
    attempt.live = true;
    attempt.climbing = this.#renewed = this.#down = false;
    this.#session = { ...before, ...session };
    if (cursor) this.#position.move(cursor);
    this.#settle();
    this.#planRenewal(session.expiresAt);
    const { userId, roles } = this.#session;
    const other = before.userId !== undefined && userId !== before.userId;
    if (first) {
      this.#streaming = true;
      this.#error = null;
      this.#health.start(this.#o.healthyAfter ?? 5000, () => this.#healthy(attempt));
      this.#planClimb();
    }
    if (first && this.#phase !== 'open') this.#enter('open');
    else this.#publish();
    if (first || other) this.#rooms.begin(attempt.door, (error) => this.#emit('error', error));
    if (other) this.#emit('reset', { reason: 'user' });
    else if (before.roles && String(roles) !== String(before.roles)) this.#emit('reset', { reason: 'roles' });
  }

  #healthy(attempt: Attempt): void {
    attempt.healthy = true;
    this.#failures = 0;
    if (attempt.index === 0) {
      this.#shaky = this.#climbs = 0;
      this.#proven = true;
    }
    this.#publish();
  }

  #receive(m: Envelope): void {
    const { event, data } = m;
    if (m.id !== undefined) this.#rooms.answered(m);
    else if (event === 'stream') {
      this.#streaming = data.live;
      this.#publish();
    } else if (event === 'error' && data.code === 'auth_unavailable') this.#renewLater();
    else if (event.endsWith('_update')) {
      this.#emit(event, data);
      this.#emit('update', data);
    } else if (event === 'reset' || event.startsWith('notification')) this.#emit(event, data);
    // Only now: what was dispatched was delivered.
    if (m.cursor) this.#position.move(m.cursor);
  }

  /** Gives up the present door, and one that is being tried. */
  #leave(): void {
    this.#turn++;
    const attempts = [this.#active, this.#probe];
    this.#active = this.#probe = undefined;
    for (const a of attempts) a?.door.close();
    for (const t of [this.#health, this.#renewal, this.#climb]) t.stop();
    this.#rooms.end();
    this.#settle();
  }

  /** Gives up everything that is under way, and what was learned from failures. */
  #abandon(): void {
    this.#leave();
    this.#retry.stop();
    this.#retryAt = null;
    this.#failures = this.#shaky = 0;
    this.#down = this.#renewed = false;
  }

  /** The active attempt has ended: decides what comes next. */
  #lost(error: PgbellError): void {
    const { index = 0, live = false, healthy = false, climbing = false } = this.#active ?? {};
    this.#leave();
    this.#errors.add(error);
    this.#error = error;
    const turn = this.#turn;
    this.#emit('error', error);
    if (turn !== this.#turn) return; // A listener has closed or reconnected.
    const { strategy, after } = error;
    const brief = live && !healthy;
    if (strategy === 'stop') return this.#stop();
    if (strategy === 'refresh') {
      if (this.#renewed || !this.#tokens.renewable) return this.#stop();
      this.#tokens.drop();
      this.#renewed = true;
      if (!brief) return this.#try(index);
    }
    if (brief && index === 0) this.#shaky++;
    if (!live) {
      const next =
        index + 1 < this.#doors.length && strategy !== 'wait' && error.code !== 'token_unavailable';
      if (next && (climbing || strategy === 'fallback' || !this.#proven || this.#failures >= faithful)) {
        return this.#try(index + 1);
      }
      this.#down = true;
    }
    const least = strategy === 'wait' ? pause : 0;
    const jitter = fullJitter(this.#failures++, this.#o.backoffMin ?? 500, this.#o.backoffMax ?? 30_000);
    const delay = after ?? least + jitter;
    this.#patient = least > 0 || after !== undefined;
    if (delay > 2000) this.#down = true;
    this.#retryAt = Date.now() + delay;
    this.#retry.start(delay, () => this.#begin());
    this.#enter('waiting');
  }

  #stop(): void {
    this.#enter('stopped');
    this.#rooms.close();
  }

  /** The page is back, or the network may have changed. */
  #woken(): void {
    if (this.#phase === 'waiting' && !this.#patient) this.#begin();
    else if (this.#phase === 'open') {
      this.#active?.door.check();
      this.#knock();
    }
  }

  #planClimb(): void {
    if (!this.#active?.index) return;
    const delay = Math.min((this.#o.climbAfter ?? 10_000) * 2 ** this.#climbs, climbMax);
    this.#climb.start(delay * (0.5 + Math.random() / 2), () => this.#knock());
  }

  /** Sees whether the first door opens, while another one serves. */
  #knock(): void {
    if (!this.#active?.live || !this.#active.index || this.#probe) return;
    this.#climb.stop();
    this.#climbs++;
    this.#probe = this.#open(0);
  }

  /** The first door has opened: from here on nothing comes by the other one. */
  #changeOver(attempt: Attempt): void {
    const old = this.#active;
    this.#probe = undefined;
    this.#active = attempt;
    attempt.climbing = true;
    this.#health.stop();
    this.#renewal.stop();
    this.#rooms.end();
    old?.door.close();
  }

  #planRenewal(expiresAt?: string): void {
    const due = this.#tokens.expires(expiresAt);
    // Clients that came together do not all ask together.
    if (due === undefined) this.#renewal.stop();
    else this.#renewal.start(due * (0.9 + Math.random() / 10), () => void this.#renew());
  }

  #renewLater(): void {
    this.#renewal.start(pause * (1 + Math.random()), () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const attempt = this.#active;
    try {
      const token = await this.#tokens.renew();
      if (!attempt?.live || attempt !== this.#active) return;
      this.#planRenewal();
      attempt.door.authenticate(token, this.cursor);
    } catch (error) {
      this.#errors.add(error as PgbellError);
      // The present token is still good for a while.
      if (attempt === this.#active) this.#renewLater();
    }
  }
}
