import { createContext, type ReactNode, useCallback, useContext, useMemo, useRef, useState } from 'react';

/** A click on one side, and its arrival on the other. */
export interface Trip {
  n: number;
  what: string;
  /** From the click to the other side's screen, in milliseconds. */
  ms: number;
  to: string;
}

interface Stopwatch {
  /** Somebody has clicked. A booking that has no number yet is 0. */
  start: (who: string, booking: number, what: string) => void;
  /** A row of this booking has arrived at somebody. */
  arrived: (who: string, booking: number) => void;
  trips: readonly Trip[];
}

const Context = createContext<Stopwatch>({ start: () => {}, arrived: () => {}, trips: [] });
export const useStopwatch = (): Stopwatch => useContext(Context);

const kept = 4;

/** Measures how long clicks take to arrive at the others of this page. */
export function StopwatchProvider({ children }: { children: ReactNode }) {
  const running = useRef(new Map<number, { who: string; what: string; at: number }>());
  const count = useRef(0);
  const [trips, setTrips] = useState<readonly Trip[]>([]);
  const start = useCallback((who: string, booking: number, what: string) => {
    running.current.set(booking, { who, what, at: performance.now() });
  }, []);
  const arrived = useCallback((who: string, booking: number) => {
    const trip = running.current.get(booking);
    if (!trip || trip.who === who) return;
    running.current.delete(booking);
    const ms = performance.now() - trip.at;
    setTrips((before) => [{ n: ++count.current, what: trip.what, ms, to: who }, ...before].slice(0, kept));
  }, []);
  const value = useMemo(() => ({ start, arrived, trips }), [start, arrived, trips]);
  return <Context.Provider value={value}>{children}</Context.Provider>;
}
