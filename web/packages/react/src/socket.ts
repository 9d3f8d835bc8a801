'use client';

import type {
  Arrived,
  NotificationsRead,
  Options,
  Pgbell,
  PgbellError,
  Reset,
  State,
  Status,
  TokenSource,
  Update,
} from '@pgbell/client';
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { useLatest } from './latest.js';
import { useBellIfAny } from './provider.js';
import { handlerName, type Rows, type UpdateHandlers } from './register.js';
import { share } from './shared.js';

/**
 * What to listen to. Inside a {@link PgbellProvider} its connection is used, and
 * only the handlers count. Elsewhere the first ones make a connection, shared by
 * all that name the same server, user and role.
 */
export type SocketOptions<R extends object = Rows> = UpdateHandlers<R> & {
  /** Who the user is. Another one gets another connection; null, none. */
  userId?: string | null;
  /** The role for which the token is, where a user has several. Another one gets another connection. */
  role?: string;
  /** A JWT, or a function that gets one. Null while nobody is signed in. */
  token?: string | TokenSource | null;
  /** Default: the page's own origin. */
  url?: string | URL;
  /** Whether to ask again and again where nothing else works. Default: true. */
  enablePolling?: boolean;
  /** The rest. Default: as the client's. */
  options?: Omit<Options, 'token' | 'url' | 'doors'>;
  /** One for the user has been made. {@link useNotifications} keeps the list. */
  onNotification?: (notification: Arrived) => void;
  /** Some were read, here or on another device. */
  onNotificationsRead?: (read: NotificationsRead) => void;
  /** What was fetched before may be stale. {@link useRows} looks after itself. */
  onReset?: (reset: Reset) => void;
  /** Something went wrong; the connection looks after itself. */
  onError?: (error: PgbellError) => void;
};

export interface SocketState {
  /** Changes come, by whatever way. */
  connected: boolean;
  /** On the way, and nothing has failed yet. */
  connecting: boolean;
  /** Why there is no connection. */
  error: PgbellError | null;
  /** Tries again at once. */
  reconnect: () => void;
  /** Changes come only as often as the client asks. */
  isPolling: boolean;
  /** For a badge. */
  status: Status;
  /** All there is to know. */
  state: State;
}

const nowhere: State = {
  status: 'idle',
  connected: false,
  door: null,
  error: null,
  failures: 0,
  retryAt: null,
  userId: null,
  roles: [],
};
const silent = () => () => {};

/** Follows the connection, and listens. Handlers may be new functions at each render. */
export function useSocket(options?: SocketOptions): SocketState;
/** The same with the row types given here. */
export function useSocket<R extends object>(options: SocketOptions<R>): SocketState;
export function useSocket(options: SocketOptions<object> = {}): SocketState {
  const latest = useLatest(options);
  const provided = useBellIfAny();
  const own = useShared(options, provided);
  const bell = provided ?? own;

  useEffect(() => {
    if (!bell) return;
    const stops = [
      bell.on('update', (u: Update) => {
        const handlers = latest.current as Record<string, ((u: Update) => void) | undefined>;
        handlers[handlerName(u.type)]?.(u);
      }),
      bell.on('notification', (n) => latest.current.onNotification?.(n)),
      bell.on('notifications_read', (r) => latest.current.onNotificationsRead?.(r)),
      bell.on('reset', (r) => latest.current.onReset?.(r)),
      bell.on('error', (e) => latest.current.onError?.(e)),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }, [bell, latest]);

  const subscribe = useCallback((changed: () => void) => bell?.subscribe(changed) ?? silent(), [bell]);
  const state = useSyncExternalStore(
    subscribe,
    () => bell?.getState() ?? nowhere,
    () => nowhere,
  );
  const reconnect = useCallback(() => bell?.reconnect(), [bell]);
  return {
    connected: state.connected,
    connecting: state.status === 'connecting',
    error: state.error,
    reconnect,
    isPolling: state.status === 'polling',
    status: state.status,
    state,
  };
}

/** The connection that the options ask for, unless a provider has one. */
function useShared(options: SocketOptions<object>, provided: Pgbell | null): Pgbell | null {
  const { userId, role, token, url, enablePolling = true } = options;
  const latest = useLatest(options);
  const kind = typeof token === 'function' ? 'function' : token;
  const wanted = !provided && kind != null && userId !== null;
  const name = JSON.stringify([String(url ?? ''), userId, role, enablePolling]);
  const [bell, setBell] = useState<Pgbell | null>(null);
  const source = useCallback(() => {
    const { token: now } = latest.current;
    return (typeof now === 'function' ? now() : now) ?? null;
  }, [latest]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: name stands for what tells connections apart; another token alone is told below
  useEffect(() => {
    if (!wanted) return;
    const [shared, release] = share(name, () => ({
      ...latest.current.options,
      url: latest.current.url,
      doors: enablePolling ? ['websocket', 'sse', 'poll'] : ['websocket', 'sse'],
      token: kind === 'function' ? source : (kind as string),
    }));
    setBell(shared);
    return () => {
      release();
      setBell(null);
    };
  }, [wanted, name, latest]);
  const before = useRef({ bell, kind });
  useEffect(() => {
    const { bell: same, kind: was } = before.current;
    before.current = { bell, kind };
    if (bell && bell === same && kind != null && kind !== was)
      bell.setToken(kind === 'function' ? source : kind);
  }, [bell, kind, source]);
  return bell;
}
