'use client';

import { type Options, Pgbell, type TokenSource } from '@pgbell/client';
import { createContext, type ReactNode, useContext, useEffect, useMemo, useRef } from 'react';
import { useLatest } from './latest.js';
import type { Rows } from './register.js';

const Context = createContext<Pgbell | null>(null);

/** A connection for all hooks below. Give a `client`, or what is needed to make one. */
export type PgbellProviderProps = { children?: ReactNode } & (
  | {
      /** A connection of your own. It is connected while the provider is mounted. */
      client: Pgbell<Rows> | Pgbell;
    }
  | (Omit<Options, 'token'> & {
      client?: undefined;
      /** Who the user is. Another one gets another connection; nobody, none. Default: whoever the token says. */
      userId?: string | null;
      /** A JWT, or a function that gets one. Null while nobody is signed in. */
      token: string | TokenSource | null;
    })
);

/**
 * Shares one connection with all hooks below it. Of the options only `userId`,
 * `url` and `token` may change later.
 *
 * @param props - Its options.
 */
export function PgbellProvider({ children, ...props }: PgbellProviderProps): ReactNode {
  const { client, ...options } = props as { client?: Pgbell } & Options & { userId?: string | null };
  const { token, userId, url } = options;
  const latest = useLatest(options);
  const kind = typeof token === 'function' ? 'function' : token;
  // Making a client does nothing yet, so this is safe on servers, in strict
  // mode, and for a render that is thrown away.
  // biome-ignore lint/correctness/useExhaustiveDependencies: these tell connections apart
  const bell = useMemo(
    () => client ?? new Pgbell({ ...options, token: source(options, latest) }),
    [client, userId, String(url)],
  );
  const before = useRef({ bell, kind });
  useEffect(() => {
    const { bell: same, kind: was } = before.current;
    before.current = { bell, kind };
    if (same === bell && was !== kind) bell.setToken(source(latest.current, latest));
  }, [bell, kind, latest]);
  const enabled = !!client || (token !== null && userId !== null);
  useEffect(() => (enabled ? bell.retain() : undefined), [bell, enabled]);
  return <Context.Provider value={bell}>{children}</Context.Provider>;
}

/** A function is asked for in its latest version, whichever render it is of. */
function source(
  { token }: { token: string | TokenSource | null },
  latest: { readonly current: { token: string | TokenSource | null } },
): string | TokenSource {
  if (typeof token === 'string') return token;
  return () => {
    const { token: now } = latest.current;
    return typeof now === 'function' ? now() : now;
  };
}

/** The connection of the nearest provider, or null. */
export function useBellIfAny(): Pgbell | null {
  return useContext(Context);
}

/** The connection of the nearest provider. */
export function useBell(): Pgbell<Rows> {
  const bell = useContext(Context);
  if (!bell) throw new Error('there is no <PgbellProvider> above this component');
  return bell as unknown as Pgbell<Rows>;
}
