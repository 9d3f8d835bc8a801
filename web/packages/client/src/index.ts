/**
 * The client of pgbell: a user's rows, as they change.
 *
 * @module client
 */

export { Pgbell } from './client.js';
export type { DoorName, WebSocketConstructor, WebSocketLike } from './door.js';
export type { ErrorStats, Strategy } from './errors.js';
export { ErrorLog, PgbellError, strategies } from './errors.js';
export type { CursorStorage, Events, Options, Trace } from './options.js';
export type { LiveRows, RowsOptions, RowsState } from './rows.js';
export { liveRows } from './rows.js';
export type { Phase, State, Status } from './state.js';
export type { Store } from './store.js';
export type { TokenSource } from './token.js';
export type {
  AnyRows,
  Arrived,
  Changed,
  Deleted,
  Key,
  Left,
  Notification,
  NotificationsRead,
  Published,
  Put,
  Reset,
  Update,
} from './types.js';
