import type { PgbellError } from './errors.js';
import { Timer } from './timer.js';
import type { Tokens } from './token.js';

/** The pause after a source of tokens has failed, or the server could not look at one. */
const pause = 5000;

/** Keeps the token of an open connection fresh. */
export interface Renewal {
  /** Plans the next renewal. `expiresAt` is what the server says about the present token's end. */
  plan(expiresAt?: string): void;
  /** Plans another try: the present token is still good for a while. */
  later(): void;
  /** Gets another token now. */
  now(): Promise<void>;
  /** The connection has ended. */
  stop(): void;
}

export function renewal(
  tokens: Tokens,
  got: (token: string) => void,
  failed: (error: PgbellError) => void,
): Renewal {
  const timer = new Timer();
  /** Counts connections, so that a token that comes too late is not shown to the next one. */
  let turn = 0;

  function plan(expiresAt?: string): void {
    const due = tokens.expires(expiresAt);
    // Clients that came together do not all ask together.
    if (due === undefined) timer.stop();
    else timer.start(due * (0.9 + Math.random() / 10), now);
  }
  function later(): void {
    timer.start(pause * (1 + Math.random()), now);
  }
  async function now(): Promise<void> {
    const mine = turn;
    try {
      const token = await tokens.renew();
      if (mine !== turn) return;
      plan();
      got(token);
    } catch (error) {
      failed(error as PgbellError);
      if (mine === turn) later();
    }
  }
  return {
    plan,
    later,
    now,
    stop() {
      turn++;
      timer.stop();
    },
  };
}
