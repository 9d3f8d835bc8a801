import type { Door, DoorEvents, Surroundings } from './door.js';
import { PgbellError } from './errors.js';
import { ask as askServer, json } from './http.js';
import { Timer } from './timer.js';
import type { Envelope } from './types.js';

interface Answer {
  events: Envelope[];
  cursor: string;
}

/**
 * The door `poll`: asks for what is new, again and again. Where the way allows
 * it, a question waits at the server for its answer; where something cuts such
 * questions off, the client asks every `pollInterval` instead.
 */
export function openPoll(s: Surroundings, on: DoorEvents): Door {
  let token = '';
  let at: string | undefined;
  let stop: AbortController | undefined;
  const timer = new Timer();
  let wait = s.longPoll;
  let live = false;
  let ended = false;
  let asked = 0;

  function end(error?: PgbellError): void {
    timer.stop();
    stop?.abort();
    if (ended) return;
    ended = true;
    if (error) on.closed(error);
  }
  async function ask(): Promise<void> {
    stop?.abort();
    const mine = new AbortController();
    stop = mine;
    asked = Date.now();
    // The first answer tells that all is well, so it does not wait.
    const waits = live ? wait : 0;
    timer.start(waits + s.timeout, () => {
      mine.abort();
      failed(new PgbellError('timeout', 'The server does not answer.'));
    });

    function failed(error: PgbellError): void {
      const cut = waits > 0 && (error.code === 'network' || error.code === 'timeout');
      if (!cut) return end(error);
      wait = 0; // Something between here and there does not like long answers.
      timer.start(0, ask);
    }
    try {
      const url = new URL('api/events', s.base);
      if (at) url.searchParams.set('cursor', at);
      if (waits) url.searchParams.set('wait', `${waits}ms`);
      const answer = await askServer(s.fetch, url, token, {
        headers: { Accept: 'application/json' },
        signal: mine.signal,
      });
      const body = await json<Answer>(answer, s.parse);
      if (mine.signal.aborted) return;
      s.frame?.('in', JSON.stringify(body), 'poll');
      if (!live) {
        live = true;
        on.live({}, at ? undefined : body.cursor);
      }
      for (const event of body.events) {
        if (mine.signal.aborted) return;
        on.message(event);
      }
      if (mine.signal.aborted) return;
      at = body.cursor;
      on.message({ event: 'cursor', cursor: at });
      if (mine.signal.aborted) return;
      // An early answer without events: this server lets nobody wait.
      if (waits && !body.events.length && Date.now() - asked < waits / 2) wait = 0;
      // After events there may be more.
      timer.start(body.events.length || wait ? 0 : s.pollInterval, ask);
    } catch (error) {
      if (mine.signal.aborted) return;
      timer.stop();
      failed(error as PgbellError);
    }
  }

  queueMicrotask(() => ended || on.opened());
  return {
    authenticate(fresh, cursor) {
      token = fresh;
      if (ended) return;
      // A question that waits would end with the token it was asked with; any
      // other is over soon, and the next one takes the new token.
      if (live && !wait) return;
      at ??= cursor;
      void ask();
    },
    check() {
      if (live && Date.now() - asked > Math.min(5000, s.pollInterval)) timer.start(0, ask);
    },
    send: () => false,
    close: () => end(),
  };
}
