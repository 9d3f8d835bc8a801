import { type Pgbell, PgbellError } from '@pgbell/client';
import { createContext, useContext, useEffect, useRef, useState } from 'react';

const Context = createContext<Pgbell | null>(null);
export const AskProvider = Context.Provider;

/** Whom the console asks. */
export function useAsk(): Pgbell {
  const bell = useContext(Context);
  if (!bell) throw new Error('there is no AskProvider above this component');
  return bell;
}

export interface Polled<T> {
  data: T | undefined;
  /** Why the last question got no answer. What was answered before stays. */
  error: PgbellError | null;
}

/**
 * Asks again and again, while the page is seen. `path` may depend on what is
 * there already, and `merge` puts the answer to it.
 */
export function usePolled<T>(
  path: string | ((before: T | undefined) => string),
  every: number,
  merge: (before: T | undefined, answer: T) => T = (_, answer) => answer,
): Polled<T> {
  const bell = useAsk();
  const [state, setState] = useState<Polled<T>>({ data: undefined, error: null });
  const latest = useRef({ path, merge, data: undefined as T | undefined });
  latest.current.path = path;
  latest.current.merge = merge;
  const name = typeof path === 'string' ? path : '';
  // biome-ignore lint/correctness/useExhaustiveDependencies: another path is another question
  useEffect(() => {
    const l = latest.current;
    l.data = undefined;
    setState({ data: undefined, error: null });
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    let asking = false;
    const look = async () => {
      clearTimeout(timer);
      if (asking || document.hidden) return;
      asking = true;
      let pause = every;
      try {
        const question = typeof l.path === 'string' ? l.path : l.path(l.data);
        const answer = await bell.request<T>(question, { signal: AbortSignal.timeout(15_000) });
        if (over) return;
        l.data = l.merge(l.data, answer);
        setState({ data: l.data, error: null });
      } catch (e) {
        if (over) return;
        const error = e instanceof PgbellError ? e : new PgbellError('bad_answer', String(e));
        pause = Math.max(every, error.after ?? 0);
        setState({ data: l.data, error });
      } finally {
        asking = false;
      }
      timer = setTimeout(look, pause);
    };
    void look();
    document.addEventListener('visibilitychange', look);
    return () => {
      over = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', look);
    };
  }, [bell, every, name]);
  return state;
}
