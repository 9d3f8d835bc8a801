import type { Door, DoorEvents, Surroundings, WebSocketLike } from './door.js';
import { closeError, PgbellError, serverError } from './errors.js';
import { Timer } from './timer.js';
import type { Envelope } from './types.js';

/**
 * The door `websocket`. The token goes in the first message, so that it is in
 * no URL and no log, and so that a client can see whether the way is free
 * before it gives up another door.
 *
 * A socket can be dead without a word: the server pings, but a browser does not
 * tell its page. So after `heartbeat` of silence the client asks something
 * itself, and takes `timeout` without any answer for the end.
 */
export function openSocket(s: Surroundings, on: DoorEvents): Door {
  let ws: WebSocketLike | undefined;
  const timer = new Timer();
  let cause: PgbellError | undefined;
  let heard = 0;
  let asked = 0;
  let live = false;
  let pings = 0;

  function end(error?: PgbellError): void {
    timer.stop();
    if (!ws) return;
    const socket = ws;
    ws = undefined;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // A socket that is closed while it connects reports an error, to nobody.
    socket.onerror = () => {};
    try {
      socket.close();
    } catch {
      // It was closed already.
    }
    if (error) on.closed(error);
  }
  function expect(): void {
    timer.start(s.timeout, () => end(new PgbellError('timeout', 'The server does not answer.')));
  }
  function send(envelope: Envelope): boolean {
    if (!ws) return false;
    const text = JSON.stringify(envelope);
    s.frame?.('out', text, 'websocket');
    try {
      ws.send(text);
    } catch {
      return false; // It is closing, which onclose will tell.
    }
    return true;
  }
  function ping(): void {
    asked = Date.now();
    // Any answer will do, also that the server knows no such event.
    send({ event: 'ping', id: `ping-${++pings}` });
    timer.start(s.timeout, () => {
      if (heard < asked) end(new PgbellError('no_heartbeat', 'The connection went dead.'));
      else watch();
    });
  }
  function watch(): void {
    const quiet = Date.now() - heard;
    if (quiet >= s.heartbeat) ping();
    else timer.start(s.heartbeat - quiet, watch);
  }
  function receive(text: unknown): void {
    heard = Date.now();
    let m: Envelope;
    try {
      m = s.parse(text as string) as Envelope;
    } catch {
      return end(new PgbellError('bad_answer', 'The server sent something that is not JSON.'));
    }
    s.frame?.('in', text as string, 'websocket');
    if (typeof m.id === 'string' && m.id.startsWith('ping-')) return;
    if (m.event === 'authenticated') {
      if (!live) {
        live = true;
        watch();
      }
      on.live(m.data, m.cursor);
    } else {
      if (m.event === 'auth_error' || (m.event === 'error' && m.id === undefined)) {
        cause = serverError(m.data);
      }
      on.message(m);
    }
  }

  try {
    if (!s.WebSocket) throw 0;
    const url = new URL('ws', s.base);
    url.protocol = url.protocol.replace('http', 'ws');
    ws = new s.WebSocket(url.href, 'pgbell.v1');
  } catch {
    const missing = new PgbellError('no_websocket', 'There is no WebSocket here; give one in the options.');
    queueMicrotask(() => on.closed(missing));
    return { authenticate() {}, check() {}, send: () => false, close() {} };
  }
  expect();
  let opened = false;
  ws.onopen = () => {
    opened = true;
    timer.stop();
    on.opened();
  };
  ws.onmessage = (event) => receive(event.data);
  ws.onerror = () => {}; // onclose follows, and says as much as there is to know
  ws.onclose = ({ code, reason }) =>
    end(
      opened ? closeError(code, reason, cause) : new PgbellError('network', 'The WebSocket does not open.'),
    );

  return {
    authenticate(token, cursor) {
      if (!live) expect();
      send({ event: 'authenticate', data: live ? { token } : { token, cursor } });
    },
    check() {
      // Asking again would only put the verdict off.
      if (live && heard >= asked) ping();
    },
    send: (envelope) => live && send(envelope),
    close: () => end(),
  };
}
