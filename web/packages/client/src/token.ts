import { PgbellError } from './errors.js';

/**
 * Where tokens come from: a function that returns one, now or later. It is
 * called when the client needs a token that is good for a while, so it should
 * not return one that is about to expire. `null` means that nobody is signed in.
 */
export type TokenSource = () => string | null | Promise<string | null>;

/** The claims of a JWT that the client reads, unverified: they only tell it when to ask for another. */
interface Claims {
  sub?: string;
  exp?: number;
  iat?: number;
}

export function claims(token: string): Claims {
  try {
    const payload = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    return JSON.parse(atob(payload)) as Claims;
  } catch {
    return {}; // Not a JWT. The server will say when it ends.
  }
}

/** How long before its end a token is renewed: a fifth of its life, a minute at most. */
const early = (life: number) => Math.min(60_000, life / 5);

/** Keeps a token, and knows when it needs another. */
export class Tokens {
  #source: string | TokenSource;
  #token: string | undefined;
  /** When the kept token should be replaced, by this machine's clock. */
  #stale = Number.POSITIVE_INFINITY;
  #asking: Promise<string> | undefined;

  constructor(source: string | TokenSource) {
    this.#source = source;
  }

  /** Whether another token can be had at all. */
  get renewable(): boolean {
    return typeof this.#source === 'function';
  }

  replace(source: string | TokenSource): void {
    this.#source = source;
    this.drop();
  }

  /** Forgets the token: the server did not like it, or it is too old. */
  drop(): void {
    this.#token = undefined;
    this.#asking = undefined;
  }

  /** A token that is not about to expire, as far as one can be had. */
  async get(): Promise<string> {
    if (this.#token !== undefined && (Date.now() < this.#stale || !this.renewable)) return this.#token;
    return this.renew();
  }

  /** A token fresh from its source. If there is none, the one at hand stays. */
  async renew(): Promise<string> {
    this.#asking ??= this.#ask();
    const asking = this.#asking;
    try {
      return await asking;
    } finally {
      if (this.#asking === asking) this.#asking = undefined;
    }
  }

  async #ask(): Promise<string> {
    const source = this.#source;
    let token: string | null;
    try {
      token = typeof source === 'function' ? await source() : source;
    } catch (error) {
      throw new PgbellError('token_unavailable', `The token could not be had: ${String(error)}`);
    }
    if (!token) throw new PgbellError('auth_required', 'Nobody is signed in.');
    // Somebody else signed in meanwhile: their token counts.
    if (source !== this.#source) return this.get();
    this.#token = token;
    this.expires();
    return token;
  }

  /**
   * Plans the renewal of the present token, and returns in how many
   * milliseconds it is due, or nothing if it never is. `at` is what the server
   * says about its end.
   */
  expires(at?: string): number | undefined {
    const { exp, iat } = claims(this.#token ?? '');
    const end = at ? Date.parse(at) : (exp ?? Number.NaN) * 1000;
    if (Number.isNaN(end) || !this.renewable) {
      this.#stale = Number.POSITIVE_INFINITY;
      return undefined;
    }
    const now = Date.now();
    const life = exp && iat ? (exp - iat) * 1000 : end - now;
    let left = end - now;
    // A token that the server has just accepted is not over: this machine's
    // clock is wrong, and all that is known is how long the token lives.
    if (at && left <= 0) left = life > 0 ? life : 5 * 60_000;
    // A clock that is fast makes every token look old: ask seldom all the same.
    const due = Math.max(left - early(Math.min(life, left)), Math.min(10_000, life / 2));
    this.#stale = now + due;
    return due;
  }
}
