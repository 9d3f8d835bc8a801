// What the server answers operators; see docs/protocol.md.

export interface Delay {
  count: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

export interface Sample {
  /** Milliseconds since 1970. */
  at: number;
  connections: Record<string, number>;
  events: number;
  delivered: number;
  bells: number;
  reads: number;
  errors: number;
  lag: Delay;
  fanOut: Delay;
  state: string;
  rounds: number;
  behind: number;
}

export interface Stats {
  version: string;
  startedAt: string;
  uptimeSeconds: number;
  live: boolean;
  connections: Record<string, number>;
  users: number;
  rooms: number;
  topRooms: { room: string; sessions: number }[];
  slow: { userId: string; session: string; transport: string; queuedBytes: number }[];
  queuedBytes: number;
  window: { events: number; bytes: number };
  recent: { everyMs: number; samples: Sample[]; state: string; lag: Delay; fanOut: Delay };
}

export interface Tables {
  checked_at: string;
  unknown?: string;
  tables: {
    table: string;
    type?: string;
    triggers: string;
    events_per_minute: number;
    last_event_at: string | null;
    mean_ms: number | null;
    drift: { object: string; why: string }[] | null;
    mistake?: string;
  }[];
  log: LogPart;
  partitions: LogPart[] | null;
  listeners: { name: string; state: string; silent_ms: number | null }[] | null;
  notify_queue: number;
  switches: { setting: string; value: string; scope: string; undo: string; off: boolean }[];
}

export interface LogPart {
  name: string;
  state: string;
  bytes: number;
  rows_estimate: number;
  first_event_at?: string | null;
}

export interface Users {
  connected?: { userId: string; roles: string[]; sessions: number; transports: string[]; since: string }[];
  next?: string;
}

export interface UserSessions {
  userId: string;
  sessions: {
    session: string;
    transport: string;
    address: string;
    roles: string[];
    rooms: string[];
    since: string;
    expiresAt: string;
    state: string;
    queuedBytes: number;
  }[];
  more?: boolean;
}

export interface Errors {
  since: string;
  total: number;
  retryable: number;
  byCode: Record<string, { count: number; retryable: boolean; action: string; last: string }>;
  recent: { at: string; code: string; message: string; transport?: string; userId?: string }[];
}

export interface Why {
  user: string;
  table: string;
  key?: Record<string, string>;
  receives: boolean;
  as: string[] | null;
  rules: { verdict: 'yes' | 'no' | 'note'; rule: string; text: string }[];
  columns: string[] | null;
  events: { id: number; at: string; op: string; action?: string; reason?: string; to_user: boolean }[] | null;
}

/** What the doors are called in the console. */
export const doors: Record<string, string> = {
  websocket: 'WebSocket',
  socketio: 'Socket.IO',
  sse: 'SSE',
  poll: 'Polling',
};
export const doorName = (transport: string): string => doors[transport] ?? transport;
