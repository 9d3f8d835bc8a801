import type { DoorName } from './door.js';
import type { PgbellError } from './errors.js';

/** What to show on a badge. It never claims more than is known. */
export type Status =
  /** Not connected, and not trying to: before `connect()` and after `close()`. */
  | 'idle'
  /** On the way, and nothing has failed yet. */
  | 'connecting'
  /** Changes come as they happen. */
  | 'live'
  /** Changes come, as often as the client asks for them. */
  | 'polling'
  /** What is shown may be out of date: no door opens, or the server has lost the database. The client goes on trying. */
  | 'offline'
  /** The client has given up; `error` says why. `reconnect()` or `setToken()` starts it again. */
  | 'stopped';

/** The state of a connection. */
export interface State {
  readonly status: Status;
  /** Whether changes come, whatever way: `live` or `polling`. */
  readonly connected: boolean;
  /** The way they come, or null. */
  readonly door: DoorName | null;
  /** Why they don't, or null if they do or it is too early to tell. */
  readonly error: PgbellError | null;
  /** Attempts that have ended badly since the connection was last healthy. */
  readonly failures: number;
  /** When the next attempt begins, by `Date.now()`, or null if none is planned. */
  readonly retryAt: number | null;
  /** Who the server says the user is, as far as it has. */
  readonly userId: string | null;
  readonly roles: readonly string[];
}

/**
 * The phases of a connection:
 *
 *              connect()                    door is live
 *     idle ───────────────▶ connecting ────────────────────▶ open
 *      ▲                     │  ▲   │ ▲                       │
 *      │            no door  │  │   └─┘ next door             │ cut
 *      │ close()    opens    ▼  │ back-off ends, page wakes   ▼
 *   any phase               waiting ◀─────────────────────────┤
 *                                                             │ refused for good
 *     stopped ◀───────────── from connecting, too ◀───────────┘
 *        └──▶ connecting: reconnect(), setToken()
 *
 * While `open` through another door than the first, the client knocks at the
 * first from time to time and changes over when it opens. This is no phase: the
 * other door stays open until then.
 */
export type Phase = 'idle' | 'connecting' | 'open' | 'waiting' | 'stopped';
