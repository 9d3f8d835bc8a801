'use client';

import { type AnyRows, liveRows, type Pgbell, type RowsOptions, type RowsState } from '@pgbell/client';
import { useMemo, useSyncExternalStore } from 'react';
import { useBellIfAny } from './provider.js';
import type { Rows } from './register.js';

export interface UseRowsOptions<Row> extends RowsOptions<Row> {
  /** Whether to fetch and follow them. Default: true. */
  enabled?: boolean;
  /** A connection other than the provider's. */
  client?: Pgbell | Pgbell<Rows>;
}

export interface UseRowsResult<Row> extends RowsState<Row> {
  /** Fetches them again. What is there stays until then. */
  reload: () => void;
}

const none: RowsState<never> = { rows: [], loading: true, stale: true, error: null };
const off: RowsState<never> = { ...none, loading: false };
const silent = () => () => {};

/**
 * The caller's rows of one type, live: fetched first, then kept up to date by
 * events. While the connection is away they stay, with `stale` set; once it is
 * back they are exact again. All components that ask for the same rows share
 * them.
 */
export function useRows<T extends keyof Rows & string>(
  type: T,
  options?: UseRowsOptions<Rows[T]>,
): UseRowsResult<Rows[T]>;
/** The same with the row's type given here: `useRows<Booking>('booking')`. */
export function useRows<Row>(type: string, options?: UseRowsOptions<Row>): UseRowsResult<Row>;
export function useRows<Row>(type: string, options: UseRowsOptions<Row> = {}): UseRowsResult<Row> {
  const { enabled = true, client, ...rest } = options;
  const provided = useBellIfAny();
  const bell = (client ?? provided) as Pgbell | null;
  if (!bell) throw new Error('useRows needs a <PgbellProvider> above it, or the option client');
  // The same options give the same store, so nothing is lost by asking each time.
  const store = liveRows<AnyRows, string>(bell, type, rest as RowsOptions<unknown>);
  const state = useSyncExternalStore(
    enabled ? store.subscribe : silent,
    enabled ? store.getState : () => off,
    () => (enabled ? none : off),
  ) as RowsState<Row>;
  return useMemo(() => ({ ...state, reload: () => store.reload() }), [state, store]);
}
