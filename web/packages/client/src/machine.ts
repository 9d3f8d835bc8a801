import { fullJitter } from './backoff.js';
import type { Door, DoorEvents, DoorName, Surroundings } from './door.js';
import { ErrorLog, type PgbellError } from './errors.js';
import { Ladder } from './ladder.js';
import { type Options, surroundings } from './options.js';
import { watchPage } from './page.js';
import { openPoll } from './poll.js';
import { Position } from './position.js';
import { type Renewal, renewal } from './renewal.js';
import { Rooms } from './rooms.js';
import { openSocket } from './socket.js';
import { openEventStream } from './sse.js';
import type { Phase, State, Status } from './state.js';
import { Timer } from './timer.js';
import { Tokens } from './token.js';
import type { Envelope, Session } from './types.js';

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

/** The pause where the server asks for one without saying how long. */
const pause = 5000;
const none: readonly string[] = [];

/** The state machine of a connection, with everything that it keeps: see {@link Phase}. */
export class Machine {
  readonly surroundings: Surroundings;
  readonly tokens: Tokens;
  readonly position: Position;
  readonly rooms = new Rooms();
  readonly errors = new ErrorLog();
  readonly #o: Options;
  /** Tells the application. */
  readonly #emit: (event: string, data: unknown) => void;
  readonly #ladder: Ladder;
  readonly #renewal: Renewal;

  #phase: Phase = 'idle';
  #state: State;
  #active: Attempt | undefined;
  /** An attempt at the first door while another one serves. */
  #probe: Attempt | undefined;
  /** Counts what was begun, so that whoever awaited something notices that it is over. */
  #turn = 0;
  #failures = 0;
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
  readonly #climb = new Timer();
  #unwatch: (() => void) | undefined;

  constructor(options: Options, emit: (event: string, data: unknown) => void) {
    this.#o = options;
    this.#emit = emit;
    this.surroundings = surroundings(options);
    this.tokens = new Tokens(options.token);
    this.position = new Position(options.cursor, options.storage, options.storageKey);
    this.#ladder = new Ladder(options.doors);
    this.#renewal = renewal(
      this.tokens,
      (token) => this.#active?.door.authenticate(token, this.position.cursor),
      (error) => this.errors.add(error),
    );
    this.#state = this.#picture();
  }

  get state(): State {
    return this.#state;
  }

  connect(): void {
    if (this.#phase !== 'idle' && this.#phase !== 'stopped') return;
    this.#unwatch ??= watchPage(
      () => this.#woken(),
      () => this.position.save(),
    );
    this.#begin();
  }

  close(): void {
    if (this.#phase === 'idle') return;
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#abandon();
    this.#error = null;
    this.position.save();
    this.#enter('idle');
    this.rooms.close();
  }

  reconnect(): void {
    if (this.#phase === 'idle') return this.connect();
    this.#abandon();
    this.#begin();
  }

  /** There is another source of tokens. */
  tokenChanged(): void {
    this.#renewed = false;
    if (this.#phase === 'stopped') this.reconnect();
    else if (this.#active?.live) void this.#renewal.now();
  }

  #enter(phase: Phase): void {
    const from = this.#phase;
    this.#phase = phase;
    if (from !== phase) this.#o.trace?.phase?.(from, phase);
    this.#publish();
  }

  #picture(): State {
    const phase = this.#phase;
    const door = phase === 'open' && this.#active ? this.#ladder.name(this.#active.index) : null;
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

  /** Starts a round. */
  #begin(): void {
    this.#retry.stop();
    this.#retryAt = null;
    this.#try(this.#ladder.start());
  }

  #try(index: number): void {
    const turn = ++this.#turn;
    this.#enter('connecting');
    // The token first: a server waits only so long for it.
    this.tokens.get().then(
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
    attempt.door = openers[this.#ladder.name(index)](this.surroundings, {
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
      const token = await this.tokens.get();
      // Rows that are being fetched say where the stream is to start. If there
      // are none, the server chooses, and rows that are fetched from now on wait
      // for that: they could be older.
      const settle = await this.position.claim();
      if (attempt !== this.#active) return settle();
      this.#settle = settle;
      attempt.door.authenticate(token, this.position.cursor);
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
    if (cursor) this.position.move(cursor);
    this.#settle();
    this.#renewal.plan(session.expiresAt);
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
    if (first || other) this.rooms.begin(attempt.door, (error) => this.#emit('error', error));
    if (other) this.#emit('reset', { reason: 'user' });
    else if (before.roles && String(roles) !== String(before.roles)) this.#emit('reset', { reason: 'roles' });
  }

  #healthy(attempt: Attempt): void {
    attempt.healthy = true;
    this.#failures = 0;
    this.#ladder.lasted(attempt.index);
    this.#publish();
  }

  #receive(m: Envelope): void {
    const { event, data } = m;
    if (m.id !== undefined) this.rooms.answered(m);
    else if (event === 'stream') {
      this.#streaming = data.live;
      this.#publish();
    } else if (event === 'error' && data.code === 'auth_unavailable') this.#renewal.later();
    else if (event.endsWith('_update')) {
      this.#emit(event, data);
      this.#emit('update', data);
    } else if (event === 'reset' || event.startsWith('notification')) this.#emit(event, data);
    // Only now: what was dispatched was delivered.
    if (m.cursor) this.position.move(m.cursor);
  }

  /** Gives up the present door, and one that is being tried. */
  #leave(): void {
    this.#turn++;
    const attempts = [this.#active, this.#probe];
    this.#active = this.#probe = undefined;
    for (const a of attempts) a?.door.close();
    for (const t of [this.#health, this.#renewal, this.#climb]) t.stop();
    this.rooms.end();
    this.#settle();
  }

  /** Gives up everything that is under way, and what was learned from failures. */
  #abandon(): void {
    this.#leave();
    this.#retry.stop();
    this.#retryAt = null;
    this.#failures = 0;
    this.#ladder.forgive();
    this.#down = this.#renewed = false;
  }

  /** The active attempt has ended: decides what comes next. */
  #lost(error: PgbellError): void {
    const { index = 0, live = false, healthy = false, climbing = false } = this.#active ?? {};
    this.#leave();
    this.errors.add(error);
    this.#error = error;
    const turn = this.#turn;
    this.#emit('error', error);
    if (turn !== this.#turn) return; // A listener has closed or reconnected.
    const { strategy, after } = error;
    const brief = live && !healthy;
    if (strategy === 'stop') return this.#stop();
    if (strategy === 'refresh') {
      if (this.#renewed || !this.tokens.renewable) return this.#stop();
      this.tokens.drop();
      this.#renewed = true;
      if (!brief) return this.#try(index);
    }
    if (brief) this.#ladder.broke(index);
    if (!live) {
      if (this.#ladder.goesOn(index, error, this.#failures, climbing)) return this.#try(index + 1);
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
    this.rooms.close();
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
    this.#climb.start(this.#ladder.climbIn(this.#o.climbAfter ?? 10_000), () => this.#knock());
  }

  /** Sees whether the first door opens, while another one serves. */
  #knock(): void {
    if (!this.#active?.live || !this.#active.index || this.#probe) return;
    this.#climb.stop();
    this.#ladder.climb();
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
    this.rooms.end();
    old?.door.close();
  }
}
