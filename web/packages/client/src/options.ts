import type { DoorName, Surroundings, WebSocketConstructor } from './door.js';
import type { PgbellError } from './errors.js';
import type { Phase, State } from './state.js';
import type { TokenSource } from './token.js';
import type { AnyRows, Arrived, NotificationsRead, Reset, Update } from './types.js';

/** The part of `localStorage` and `sessionStorage` that a cursor needs. */
export type CursorStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** Observes a connection. Every function is optional. */
export interface Trace {
  /** A message on its way, as text. */
  frame?: (direction: 'in' | 'out', text: string, door: DoorName) => void;
  /** The client went from one phase to another. */
  phase?: (from: Phase, to: Phase) => void;
}

/** How to make a connection. Only `token` is required. Times are in milliseconds. */
export interface Options {
  /** The server, such as `https://bell.example`; a path is kept. Default: the page's own origin. */
  url?: string | URL;
  /** A JWT, or a function that gets one. With a function the client renews it before it expires. */
  token: string | TokenSource;
  /** Where to go on, such as a cursor that came with rows rendered on a server. Default: from the storage, or the present. */
  cursor?: string;
  /** Keeps the cursor across page loads: `sessionStorage`, for instance. It is written at most four times a second, and when the page is left. Default: nowhere. */
  storage?: CursorStorage;
  /** The cursor's name there. Default: `pgbell:cursor`. */
  storageKey?: string;
  /** The ways to the stream, best first. Default: `websocket`, `sse`, `poll`. */
  doors?: readonly DoorName[];
  /** How often to ask, where asking is all that works. Default: 60000. */
  pollInterval?: number;
  /** How long a question may wait at the server for its answer; 0 for not at all. At most 60000. Default: 25000. */
  longPoll?: number;
  /** After how much silence the client makes sure that the server is there. Default: 25000. */
  heartbeat?: number;
  /** How long an answer may take. Default: 10000. */
  timeout?: number;
  /** The first back-off, before jitter. Default: 500. */
  backoffMin?: number;
  /** The longest back-off. Default: 30000. */
  backoffMax?: number;
  /** How long a connection has to last before it counts as healthy and the back-off starts anew. Default: 5000. */
  healthyAfter?: number;
  /** How long after a fallback the first door is tried again; each time twice as long, up to 5 minutes. Default: 10000. */
  climbAfter?: number;
  /** For Node before 22: the class of the package `ws`. Default: the global one. */
  WebSocket?: WebSocketConstructor;
  /** Default: the global one. */
  fetch?: typeof fetch;
  /** Reads JSON. Give one that keeps big numbers exact if your keys need it. Default: `JSON.parse`. */
  parse?: (text: string) => unknown;
  trace?: Trace;
}

/** The events of a connection to which a program can listen, with the rows of the application. */
export type Events<R extends object = AnyRows> = {
  [T in keyof R & string as `${T}_update`]: Update<R[T], T>;
} & {
  /** Every `<type>_update`. */
  update: { [T in keyof R & string]: Update<R[T], T> }[keyof R & string];
  reset: Reset;
  notification: Arrived;
  notifications_read: NotificationsRead;
  state: State;
  /** Each error that ends a connection or an attempt. */
  error: PgbellError;
};

/** What doors need to know, with the defaults filled in. */
export function surroundings(o: Options): Surroundings {
  const page = globalThis as { location?: Location; WebSocket?: WebSocketConstructor };
  const base = new URL(o.url ?? '/', page.location?.href ?? 'http://localhost');
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return {
    base,
    WebSocket: o.WebSocket ?? page.WebSocket,
    fetch: o.fetch ?? ((...args) => fetch(...args)),
    parse: o.parse ?? JSON.parse,
    timeout: o.timeout ?? 10_000,
    heartbeat: o.heartbeat ?? 25_000,
    pollInterval: o.pollInterval ?? 60_000,
    longPoll: Math.min(o.longPoll ?? 25_000, 60_000),
    frame: o.trace?.frame,
  };
}
