import type { Door, DoorEvents, Surroundings } from './door.js';
import { closeError, PgbellError, serverError } from './errors.js';
import { ask } from './http.js';
import { Timer } from './timer.js';

/** One event of a `text/event-stream`. */
export interface ServerSentEvent {
  event: string;
  data: string;
  id: string | undefined;
}

/**
 * Reads `text/event-stream` as it comes, in pieces of any size. The returned
 * function takes the next piece.
 * See https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
 */
export function eventStreamParser(on: (event: ServerSentEvent) => void): (piece: string) => void {
  let rest = '';
  let event = '';
  let data: string[] = [];
  let id: string | undefined;
  function line(text: string): void {
    if (text === '') {
      if (data.length) on({ event: event || 'message', data: data.join('\n'), id });
      event = '';
      data = [];
      id = undefined;
      return;
    }
    const colon = text.indexOf(':');
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(colon + (text[colon + 1] === ' ' ? 2 : 1));
    if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
    else if (field === 'id') id = value;
  }
  return (piece) => {
    rest += piece;
    // A CR at the very end may be the first half of a CRLF: it waits.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() as string;
    lines.forEach(line);
  };
}

/**
 * The door `sse`: server-sent events, read with fetch, so that the token goes in
 * a header. A new token takes a new request, which resumes after the last id.
 */
export function openEventStream(s: Surroundings, on: DoorEvents): Door {
  let at: string | undefined;
  let stop: AbortController | undefined;
  const timer = new Timer();
  let heard = 0;
  let ended = false;

  function end(error?: PgbellError): void {
    timer.stop();
    stop?.abort();
    if (ended) return;
    ended = true;
    if (error) on.closed(error);
  }
  function expect(): void {
    heard = Date.now();
    // The server says something at least every 25 seconds.
    timer.start(s.heartbeat + s.timeout, () =>
      end(new PgbellError('no_heartbeat', 'The connection went dead.')),
    );
  }
  async function follow(token: string): Promise<void> {
    stop?.abort();
    const mine = new AbortController();
    stop = mine;
    timer.start(s.timeout, () => end(new PgbellError('timeout', 'The server does not answer.')));
    let cause: PgbellError | undefined;
    const parser = eventStreamParser((e) => {
      // Whoever listens may have closed the door at the event before.
      if (mine.signal.aborted) return;
      s.frame?.('in', `event: ${e.event}\ndata: ${e.data}`, 'sse');
      // biome-ignore lint/suspicious/noExplicitAny: depends on the event
      const said = s.parse(e.data) as any;
      if (e.id) at = e.id;
      if (e.event === 'authenticated') return on.live(said, e.id);
      if (e.event === 'close') return end(closeError(said.code, said.reason ?? '', cause));
      if (e.event === 'auth_error' || e.event === 'error') cause = serverError(said);
      on.message({ event: e.event, data: said, ...(e.id && { cursor: e.id }) });
    });
    try {
      const url = new URL('api/events', s.base);
      if (at) url.searchParams.set('cursor', at);
      const answer = await ask(s.fetch, url, token, {
        headers: { Accept: 'text/event-stream' },
        signal: mine.signal,
      });
      if (!answer.body || !answer.headers.get('Content-Type')?.startsWith('text/event-stream')) {
        throw new PgbellError('bad_answer', 'The answer is no event stream.', 'fallback');
      }
      const reader = answer.body.getReader();
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (mine.signal.aborted) return;
        if (done) throw new PgbellError('connection_lost', 'The stream ended.');
        expect();
        parser(decoder.decode(value, { stream: true }));
      }
    } catch (error) {
      if (mine.signal.aborted) return;
      end(error instanceof PgbellError ? error : new PgbellError('network', String(error)));
    }
  }

  queueMicrotask(() => ended || on.opened());
  return {
    authenticate(token, cursor) {
      at ??= cursor;
      if (!ended) void follow(token);
    },
    check() {
      if (heard && Date.now() - heard > s.heartbeat) {
        end(new PgbellError('no_heartbeat', 'The connection went dead.'));
      }
    },
    send: () => false,
    close: () => end(),
  };
}
