import type { Door } from './door.js';
import { PgbellError } from './errors.js';
import type { Envelope } from './types.js';

interface Request {
  event: 'join_room' | 'leave_room';
  room: string;
  resolve: () => void;
  reject: (error: PgbellError) => void;
}

/** The rooms that the application wants to be in, session after session. */
export class Rooms {
  readonly #wanted = new Set<string>();
  readonly #asked = new Map<string, Request>();
  #count = 0;
  #door: Door | undefined;

  join(room: string): Promise<void> {
    this.#wanted.add(room);
    return this.#ask('join_room', room).catch((error: PgbellError) => {
      this.#wanted.delete(room);
      throw error;
    });
  }

  leave(room: string): Promise<void> {
    this.#wanted.delete(room);
    this.#reject((r) => r.room === room);
    return this.#door ? this.#ask('leave_room', room) : Promise.resolve();
  }

  /** A session has begun. It is in no room yet. */
  begin(door: Door, refused: (error: PgbellError) => void): void {
    this.#door = door;
    for (const [id, r] of this.#asked) this.#send(id, r);
    const asked = new Set([...this.#asked.values()].map((r) => r.room));
    for (const room of this.#wanted) if (!asked.has(room)) this.join(room).catch(refused);
  }

  /** The session has ended, and its rooms with it. */
  end(): void {
    this.#door = undefined;
    for (const [id, r] of this.#asked) {
      if (r.event === 'join_room') continue; // The next session asks again.
      this.#asked.delete(id);
      r.resolve();
    }
  }

  /** There will be no further session for now. */
  close(): void {
    this.#reject(() => true);
  }

  answered({ id, event, data }: Envelope): void {
    const r = this.#asked.get(String(id));
    if (!r) return;
    this.#asked.delete(String(id));
    if (event === 'ack') r.resolve();
    else r.reject(new PgbellError(data.code, data.message, 'none', data.retryable));
  }

  #ask(event: Request['event'], room: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const id = `room-${++this.#count}`;
      const r = { event, room, resolve, reject };
      this.#asked.set(id, r);
      this.#send(id, r);
    });
  }

  #send(id: string, { event, room }: Request): void {
    this.#door?.send({ event, data: { room }, id });
  }

  #reject(which: (r: Request) => boolean): void {
    for (const [id, r] of this.#asked) {
      if (!which(r)) continue;
      this.#asked.delete(id);
      r.reject(new PgbellError('closed', 'No longer asked for.'));
    }
  }
}
