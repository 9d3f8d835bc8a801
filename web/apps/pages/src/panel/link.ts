import { type ErrorStats, Pgbell, PgbellError, type State } from '@pgbell/client';
import { claims } from './claims';
import type { Kind } from './log';

/** A way in, as the panel offers it. */
export type Way = 'all' | 'websocket' | 'sse' | 'longpoll' | 'poll' | 'socketio';

export const ways: readonly { value: Way; label: string }[] = [
  { value: 'all', label: 'the best that opens' },
  { value: 'websocket', label: 'WebSocket' },
  { value: 'socketio', label: 'Socket.IO' },
  { value: 'sse', label: 'server-sent events' },
  { value: 'longpoll', label: 'long polling' },
  { value: 'poll', label: 'polling, every 5 s' },
];

/** What a link tells the panel. */
export interface Told {
  state: (state: LinkState) => void;
  /** A message on its way. */
  frame: (direction: 'in' | 'out', text: string, door: string) => void;
  /** Something that is no frame. */
  note: (kind: Kind, text: string) => void;
  /** An event of a row. */
  update: (update: { at: string; op: string }) => void;
}

export type LinkState = Pick<State, 'status' | 'error' | 'userId' | 'roles'> & { door: string | null };

/** One connection, whatever it speaks. It keeps its cursor while it is cut. */
export interface Link {
  /** Connects, or goes on where it was cut. */
  resume(): void;
  /** Cuts the connection and stays away. */
  cut(): void;
  /** For good. */
  close(): void;
  join(room: string): Promise<void>;
  leave(room: string): Promise<void>;
  /** What went wrong so far. */
  stats(): ErrorStats;
  readonly cursor: string | undefined;
}

/** Opens a link. Socket.IO's client comes in a file of its own, which few need. */
export async function open(way: Way, token: string, told: Told): Promise<Link> {
  if (way !== 'socketio') return openPgbell(way, token, told);
  const { openSocketIO } = await import('./socketio');
  return openSocketIO(token, told);
}

function openPgbell(way: Exclude<Way, 'socketio'>, token: string, told: Told): Link {
  const bell = new Pgbell({
    token,
    ...(way !== 'all' && { doors: [way === 'longpoll' ? 'poll' : way] }),
    ...(way === 'poll' && { longPoll: 0, pollInterval: 5000 }),
    trace: {
      frame: told.frame,
      phase: (from, to) => told.note('note', `${from} → ${to}`),
    },
  });
  // Polling has no answer to who one is; the token says it.
  const owner = claims(token);
  bell.on('state', (s) =>
    told.state(
      s.connected && s.userId === null && owner ? { ...s, userId: owner.user, roles: owner.roles } : s,
    ),
  );
  bell.on('update', told.update);
  bell.on('error', (e) => told.note('error', `${e.code} (${e.strategy}): ${e.message}`));
  bell.connect();
  return {
    resume: () => bell.connect(),
    cut: () => bell.close(),
    close: () => bell.close(),
    join: (room) => bell.join(room),
    leave: (room) => bell.leave(room),
    stats: () => bell.stats(),
    get cursor() {
      return bell.cursor;
    },
  };
}

/** Asks the server by HTTP, with a token. */
export const ask = <T>(token: string, path: string, body?: object): Promise<T> =>
  new Pgbell({ token }).request<T>(path, body && { method: 'POST', body: JSON.stringify(body) });

export const wordsOf = (error: unknown): string =>
  error instanceof PgbellError ? `${error.code}: ${error.message}` : (error as Error).message;
