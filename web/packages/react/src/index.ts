/**
 * React hooks for pgbell: a user's rows, as they change.
 *
 * @module react
 */

'use client';

export type { UseNotificationsResult } from './notifications.js';
export { useNotifications } from './notifications.js';
export type { PgbellProviderProps } from './provider.js';
export { PgbellProvider, useBell } from './provider.js';
export type { Register, Rows, UpdateHandlers } from './register.js';
export type { UseRowsOptions, UseRowsResult } from './rows.js';
export { useRows } from './rows.js';
export type { SocketOptions, SocketState } from './socket.js';
export { useSocket } from './socket.js';
