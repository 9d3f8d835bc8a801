import type { PgbellError } from './errors.js';
import type { Envelope, Session } from './types.js';

/** A way to the stream, in the order in which they are tried by default. */
export type DoorName = 'websocket' | 'sse' | 'poll';

/** What a door tells the client. After `closed`, and after `close()`, it says nothing more. */
export interface DoorEvents {
  /** The way is free: the door waits for `authenticate`. */
  opened(): void;
  /** The stream is truly live, or goes on with a new token. `cursor` is where it stands, if it moved. */
  live(session: Partial<Session>, cursor?: string): void;
  message(envelope: Envelope): void;
  /** The door has ended. */
  closed(error: PgbellError): void;
}

/** One connection, of whatever kind. It never reconnects by itself. */
export interface Door {
  /** Starts the stream after `cursor`; later on, goes on with another token. */
  authenticate(token: string, cursor: string | undefined): void;
  /** Makes sure soon that the other side is still there, or closes. */
  check(): void;
  /** Sends a request, and reports whether this door can. */
  send(envelope: Envelope): boolean;
  close(): void;
}

/** Where and how to open doors. */
export interface Surroundings {
  /** The server's base address, ending in a slash. */
  base: URL;
  WebSocket: WebSocketConstructor | undefined;
  fetch: typeof fetch;
  parse: (text: string) => unknown;
  /** How long an answer may take, in milliseconds. */
  timeout: number;
  /** After how much silence to make sure, in milliseconds. */
  heartbeat: number;
  pollInterval: number;
  /** How long a poll may wait at the server, in milliseconds; 0: not at all. */
  longPoll: number;
  frame: ((direction: 'in' | 'out', text: string, door: DoorName) => void) | undefined;
}

/** The part of the browser's WebSocket that the client uses; the package `ws` has it, too. */
export interface WebSocketLike {
  // biome-ignore lint/suspicious/noExplicitAny: implementations differ in their event classes
  onopen: ((event: any) => void) | null;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  onmessage: ((event: any) => void) | null;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  onclose: ((event: any) => void) | null;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  onerror: ((event: any) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}

export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike;
