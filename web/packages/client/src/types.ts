/**
 * The application's row types by event type, when it has not said which:
 * anything goes.
 */
// biome-ignore lint/suspicious/noExplicitAny: an untyped client hears untyped rows
export type AnyRows = { [type: string]: any };

/** The key columns of a row, by name. */
export type Key = Record<string, unknown>;

interface Change<T> {
  /** The event's number. Not for ordering: numbers of different rows interleave. */
  id: number | string;
  /** The event type, such as `booking`. */
  type: T;
  /** What it means: a name that the operator configured, or `created`, `status_changed`, `updated`, `deleted`, `entered`, `left`. */
  action: string;
  /** When it was written, by the database's clock: ISO 8601, UTC, microseconds. */
  at: string;
  /** How many changes this one stands for, if more than one (`debounce`). */
  merged?: number;
}

interface RowChange<T> extends Change<T> {
  /** `schema.table`. */
  table: string;
  key: Key;
}

/** A row that came into being, or into the user's hands: to the client it is new. */
export interface Put<Row, T = string> extends RowChange<T> {
  op: 'insert' | 'entered';
  data: Row;
  old?: undefined;
  changed?: undefined;
}

/** A row that changed. */
export interface Changed<Row, T = string> extends RowChange<T> {
  op: 'update';
  /** The row as it is now. */
  data: Row;
  /** The earlier values of the columns in `changed`. */
  old: Partial<Row> | null;
  /** The visible columns that changed; empty if only the user's part in the row did. */
  changed: (keyof Row & string)[];
}

/** A row that is gone. */
export interface Deleted<Row, T = string> extends RowChange<T> {
  op: 'delete';
  data: null;
  /** The row as it was. */
  old: Row;
  changed?: undefined;
}

/** A row that is no longer the user's. Nothing else is told of it. */
export interface Left<T = string> extends RowChange<T> {
  op: 'left';
  data: null;
  old?: undefined;
  changed?: undefined;
}

/** A broadcast. No row stands behind it. */
export interface Published<T = string> extends Change<T> {
  op: 'publish';
  table?: undefined;
  key?: undefined;
  data: unknown;
  old?: undefined;
  changed?: undefined;
}

/** The data of a `<type>_update`. Its `op` tells the shapes apart. */
export type Update<Row = unknown, T = string> =
  | Put<Row, T>
  | Changed<Row, T>
  | Deleted<Row, T>
  | Left<T>
  | Published<T>;

/** What you hold of `type`, or of every type if there is none, may be stale: fetch it again. */
export interface Reset {
  type?: string;
  /** `truncate`, `capture_failed`, `epoch`, `retention`, `too_many`, `cursor`; and from the client itself `user` and `roles`. */
  reason: string;
}

/** A notification, as it arrives and as `/api/notifications` lists it. */
export interface Notification {
  id: number | string;
  /** What it is about, such as `booking.accepted`: the name by which users mute it. */
  type: string;
  /** As what the user is told, such as `client`. */
  audience: string | null;
  level: 'info' | 'success' | 'warning' | 'error';
  title: string;
  message: string;
  /** Whatever its maker gave. From a rule of the server: `{type, key}`, the row as its events name it. */
  data: unknown;
  /** ISO 8601, UTC. */
  createdAt: string;
  /** When it was read, or null if it was not. */
  readAt: string | null;
}

/** How many notifications are unread. */
interface Counted {
  /** 10000 stands for more, too. Absent if the server could not count in time. */
  unread?: number;
}

/** A notification that has just come. */
export interface Arrived extends Notification, Counted {}

/** That notifications were read, here or on another device. */
export interface NotificationsRead extends Counted {
  ids: (number | string)[];
}

/** One message of the protocol, whatever door it came through. */
export interface Envelope {
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: depends on the event
  data?: any;
  id?: number | string;
  cursor?: string;
}

/** What `authenticated` says. */
export interface Session {
  userId: string;
  roles: string[];
  session: string;
  /** When the token ends, by the server's clock. */
  expiresAt: string;
  /** Whether nothing is missing. */
  recovered: boolean;
}
