import { createContext, type ReactNode, useCallback, useContext, useMemo, useRef, useState } from 'react';

/** A click on one side, and its arrival on the other. */
export interface Trip {
  what: string;
  /** From the click to the other side's screen, in milliseconds. */
  ms: number;
}

interface Stopwatch {
  /** Somebody has clicked. */
  start: (who: string, booking: number, what: string) => void;
  /** A row of this booking has arrived at somebody. */
  arrived: (who: string, booking: number) => void;
  trips: readonly Trip[];
}

const Context = createContext<Stopwatch>({ start: () => {}, arrived: () => {}, trips: [] });
export const useStopwatch = (): Stopwatch => useContext(Context);

/** Measures how long clicks take to arrive at the others of this page. */
export function StopwatchProvider({ children }: { children: ReactNode }) {
  const running = useRef(new Map<number, { who: string; what: string; at: number }>());
  const [trips, setTrips] = useState<readonly Trip[]>([]);
  const start = useCallback((who: string, booking: number, what: string) => {
    running.current.set(booking, { who, what, at: performance.now() });
  }, []);
  const arrived = useCallback((who: string, booking: number) => {
    const trip = running.current.get(booking);
    if (!trip || trip.who === who) return;
    running.current.delete(booking);
    setTrips((before) => [{ what: trip.what, ms: performance.now() - trip.at }, ...before].slice(0, 5));
  }, []);
  const value = useMemo(() => ({ start, arrived, trips }), [start, arrived, trips]);
  return <Context.Provider value={value}>{children}</Context.Provider>;
}
