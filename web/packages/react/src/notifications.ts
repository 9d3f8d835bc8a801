'use client';

import type { Pgbell } from '@pgbell/client';
import { liveNotifications, type NotificationsState } from '@pgbell/client/notifications';
import { useMemo, useSyncExternalStore } from 'react';
import { useBellIfAny } from './provider.js';
import type { Rows } from './register.js';

export interface UseNotificationsResult extends NotificationsState {
  /** Marks some as read, here at once and soon on all devices. */
  markRead: (ids: readonly (number | string)[]) => Promise<void>;
  markAllRead: () => Promise<void>;
  /** Fetches older ones. */
  loadMore: () => Promise<void>;
}

const none: NotificationsState = { notifications: [], unread: 0, loading: true, more: false, error: null };

/** The user's notifications, with the number of those unread: the same on all devices. */
export function useNotifications(options: { client?: Pgbell | Pgbell<Rows> } = {}): UseNotificationsResult {
  const provided = useBellIfAny();
  const bell = (options.client ?? provided) as Pgbell | null;
  if (!bell) throw new Error('useNotifications needs a <PgbellProvider> above it, or the option client');
  const store = liveNotifications(bell);
  const state = useSyncExternalStore(store.subscribe, store.getState, () => none);
  return useMemo(
    () => ({
      ...state,
      markRead: (ids) => store.markRead(ids),
      markAllRead: () => store.markRead('all'),
      loadMore: () => store.loadMore(),
    }),
    [state, store],
  );
}
