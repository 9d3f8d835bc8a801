import type { WebSocketLike } from '@pgbell/client';

/** A WebSocket whose other side is the test. */
export class FakeSocket implements WebSocketLike {
  onopen: WebSocketLike['onopen'] = null;
  onmessage: WebSocketLike['onmessage'] = null;
  onclose: WebSocketLike['onclose'] = null;
  onerror: WebSocketLike['onerror'] = null;
  closed = false;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the client sends
  readonly sent: any[] = [];

  constructor(
    readonly url: string,
    readonly protocols?: string | string[],
  ) {}

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.closed = true;
  }

  // The server's side:

  open(): void {
    this.onopen?.({});
  }

  say(event: string, data?: unknown, more: object = {}): void {
    this.onmessage?.({ data: JSON.stringify({ event, data, ...more }) });
  }

  drop(code = 1006, reason = ''): void {
    this.closed = true;
    this.onclose?.({ code, reason });
  }

  /** What the client has sent under this name, the last first. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  last(event: string): any {
    return this.sent.findLast((m) => m.event === event);
  }
}

/** An HTTP request whose answer is the test's to give. */
export class FakeRequest {
  #resolve: (answer: Response) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  readonly answered: Promise<Response>;
  readonly headers: Headers;

  constructor(
    readonly url: URL,
    readonly init: RequestInit,
  ) {
    this.headers = new Headers(init.headers);
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    init.signal?.addEventListener('abort', () => this.#reject(init.signal?.reason));
  }

  get aborted(): boolean {
    return !!this.init.signal?.aborted;
  }

  json(body: unknown, status = 200, headers: Record<string, string> = {}): void {
    this.#resolve(Response.json(body, { status, headers }));
  }

  fail(): void {
    this.#reject(new TypeError('fetch failed'));
  }

  /** Answers with a stream, and returns how to write to it. */
  stream(): { write: (text: string) => void; end: () => void } {
    const encoder = new TextEncoder();
    let controller: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start: (c) => {
        controller = c;
      },
    });
    this.init.signal?.addEventListener('abort', () => controller.error(this.init.signal?.reason));
    this.#resolve(new Response(body, { headers: { 'Content-Type': 'text/event-stream' } }));
    return {
      write: (text) => controller.enqueue(encoder.encode(text)),
      end: () => controller.close(),
    };
  }
}

/** The network, as a client sees it. */
export class FakeNetwork {
  readonly sockets: FakeSocket[] = [];
  readonly requests: FakeRequest[] = [];
  /** While false, WebSockets fail at once. */
  webSockets = true;

  readonly WebSocket = ((network: FakeNetwork) =>
    class extends FakeSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(url, protocols);
        network.sockets.push(this);
        if (!network.webSockets) queueMicrotask(() => this.drop());
      }
    })(this);

  readonly fetch = ((url: URL, init: RequestInit) => {
    const request = new FakeRequest(new URL(url), init);
    this.requests.push(request);
    return request.answered;
  }) as typeof fetch;

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('no WebSocket was made');
    return socket;
  }

  get request(): FakeRequest {
    const request = this.requests.at(-1);
    if (!request) throw new Error('nothing was requested');
    return request;
  }
}

/** An unsigned token for so many seconds, which only a client takes seriously. */
export function paperToken(sub: string, seconds = 3600, now = Date.now()): string {
  const iat = Math.floor(now / 1000);
  const part = (value: object) => btoa(JSON.stringify(value));
  return `${part({ alg: 'none' })}.${part({ sub, iat, exp: iat + seconds })}.`;
}
