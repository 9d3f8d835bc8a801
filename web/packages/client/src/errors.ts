/**
 * What the client does about an error.
 *
 * | strategy | what happens |
 * |---|---|
 * | `retry` | connect again with back-off, and resume |
 * | `wait` | the same after a pause of at least five seconds |
 * | `refresh` | ask for a new token, connect again, and resume |
 * | `fallback` | this door does not open; try the next one |
 * | `stop` | nothing, until `reconnect()` or `setToken()` |
 * | `none` | the connection is untouched; one request has failed |
 */
export type Strategy = 'retry' | 'wait' | 'refresh' | 'fallback' | 'stop' | 'none';

/** Something that went wrong, and what follows from it. */
export class PgbellError extends Error {
  override name = 'PgbellError';
  constructor(
    /** A word for programs: one of docs/protocol.md, or one of the client's own, see {@link strategies}. */
    readonly code: string,
    message: string,
    readonly strategy: Strategy = strategies[code] ?? 'retry',
    /** Whether the same may succeed later, unchanged. */
    readonly retryable: boolean = strategy !== 'stop' && strategy !== 'none',
    /** How many milliseconds the server asks to wait first. */
    readonly after?: number,
  ) {
    super(message);
  }
}

/**
 * The strategy for each code that is not `retry`. Codes of the client's own:
 * `network` (out of reach), `connection_lost`, `timeout`, `no_heartbeat`,
 * `bad_answer`, `token_unavailable` (the callback failed), `no_websocket`,
 * `too_many_rows`, `closed`.
 */
export const strategies: Readonly<Record<string, Strategy>> = {
  auth_required: 'stop',
  token_invalid: 'refresh',
  token_expired: 'refresh',
  token_revoked: 'stop',
  forbidden: 'stop',
  origin_forbidden: 'stop',
  rate_limited: 'wait',
  too_many_connections: 'wait',
  bad_request: 'none',
  unknown_type: 'none',
  unknown_event: 'none',
  room_forbidden: 'none',
  room_unavailable: 'none',
  too_many_rooms: 'none',
  too_many_rows: 'none',
  closed: 'none',
  upgrade_required: 'fallback',
  not_found: 'fallback',
  message_too_large: 'fallback',
  not_utf8: 'fallback',
  binary_message: 'fallback',
  protocol_error: 'fallback',
  no_websocket: 'fallback',
};

/** What the server says to do about a code that the client does not know. */
const actions: Readonly<Record<string, Strategy>> = { refresh: 'refresh', poll: 'fallback', stop: 'stop' };

/** An error in the server's words. */
export interface Said {
  code: string;
  message: string;
  retryable?: boolean;
  action?: string;
}

/** What the server said, as an error. */
export function serverError({ code, message, retryable, action = '' }: Said, after?: number): PgbellError {
  return new PgbellError(code, message, strategies[code] ?? actions[action], retryable, after);
}

const closeCodes: Readonly<Record<number, string>> = {
  1001: 'going_away',
  1002: 'protocol_error',
  1003: 'binary_message',
  1007: 'not_utf8',
  1009: 'message_too_large',
  1013: 'unavailable',
  4001: 'token_invalid',
  4002: 'token_expired',
  4003: 'forbidden',
  4008: 'too_slow',
  4009: 'rate_limited',
  4010: 'token_revoked',
};

/** What a close code and its reason mean. `cause` is what the server said before. */
export function closeError(code: number, reason: string, cause?: PgbellError): PgbellError {
  const after = /^retry-after-ms=(\d+)$/.exec(reason)?.[1];
  // The code says what to do; the reason says it in more detail.
  const known = closeCodes[code] ?? 'connection_lost';
  const word = /^[a-z_]+$/.test(reason) ? reason : (cause?.code ?? known);
  // A 4001 for lateness is no verdict on the token.
  const strategy = word === 'auth_timeout' ? 'retry' : (strategies[known] ?? cause?.strategy);
  const message = cause?.message ?? (reason && !after ? reason : `The connection was closed (${code}).`);
  return new PgbellError(word, message, strategy, undefined, after ? Number(after) : undefined);
}

const statuses: Readonly<Record<number, string>> = {
  400: 'bad_request',
  401: 'token_invalid',
  403: 'forbidden',
  404: 'not_found',
  429: 'rate_limited',
};

/** What an HTTP answer that is not a success means. `body` is its JSON, if it had any. */
export function httpError(status: number, body: unknown, retryAfter: string | null): PgbellError {
  const after = retryAfter && /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : undefined;
  const unsaid = { code: statuses[status] ?? 'unavailable', message: `HTTP status ${status}.` };
  return serverError({ ...unsaid, ...(body as Partial<Said>) }, after);
}

/** Numbers about the errors of one client since it was made. */
export interface ErrorStats {
  /** All of them. */
  totalErrors: number;
  /** Of these, in the last five minutes. At most the last 200 are remembered. */
  recentErrors: number;
  /** Of all, those after which the same may succeed later. */
  retryableErrors: number;
  /** The code that came most often, or null before the first error. */
  mostCommonError: string | null;
  /** How many of each code. */
  byCode: Readonly<Record<string, number>>;
}

const recent = 5 * 60_000;

/** Counts errors, in bounded memory. Each {@link Pgbell} has one, see its `stats()`; others may count theirs. */
export class ErrorLog {
  #total = 0;
  #retryable = 0;
  #times: number[] = [];
  readonly #codes = new Map<string, number>();

  /** Counts one that has just come. */
  add(error: PgbellError): void {
    this.#total++;
    if (error.retryable) this.#retryable++;
    this.#times.push(Date.now());
    if (this.#times.length > 200) this.#times.shift();
    // A server invents no endless codes, but nothing stops a broken one.
    const code = this.#codes.has(error.code) || this.#codes.size < 64 ? error.code : 'other';
    this.#codes.set(code, (this.#codes.get(code) ?? 0) + 1);
  }

  /** The numbers now. */
  stats(): ErrorStats {
    let most: string | null = null;
    for (const [code, n] of this.#codes) if (most === null || n > (this.#codes.get(most) ?? 0)) most = code;
    const since = Date.now() - recent;
    return {
      totalErrors: this.#total,
      recentErrors: this.#times.filter((t) => t > since).length,
      retryableErrors: this.#retryable,
      mostCommonError: most,
      byCode: Object.fromEntries(this.#codes),
    };
  }
}
