import type { Band } from '../chart/scale';
import type { Delay, Sample } from './answers';

/** How many samples are kept and shown: ten minutes of the server's. */
export const keptSamples = 300;

/** Adds what is new. Where the server was away, or another one answers, the line has a gap. */
export function merge(before: readonly Sample[], more: readonly Sample[]): readonly Sample[] {
  const last = before.at(-1)?.at ?? 0;
  const fresh = more.filter((s) => s.at > last);
  return fresh.length ? [...before, ...fresh].slice(-keptSamples) : before;
}

/** The samples as series over seconds, with a place of nulls in each gap. */
export class Columns {
  readonly x: number[] = [];
  readonly #samples: (Sample | null)[] = [];

  constructor(samples: readonly Sample[], everyMs: number) {
    let last: number | undefined;
    for (const s of samples) {
      if (last !== undefined && s.at - last > 3 * everyMs) {
        this.x.push((last + everyMs) / 1000);
        this.#samples.push(null);
      }
      this.x.push(s.at / 1000);
      this.#samples.push(s);
      last = s.at;
    }
  }

  of(value: (s: Sample) => number | null): Band {
    return this.#samples.map((s) => s && value(s));
  }

  /** A percentile; null where there was nothing to measure. */
  delay(which: 'lag' | 'fanOut', q: keyof Delay): Band {
    return this.of((s) => (s[which].count ? s[which][q] : null));
  }

  /** All doors that somebody came through, the busiest first. */
  doors(): string[] {
    const most = new Map<string, number>();
    for (const s of this.#samples)
      for (const [door, n] of Object.entries(s?.connections ?? {}))
        most.set(door, Math.max(most.get(door) ?? 0, n));
    return [...most].sort(([, a], [, b]) => b - a).map(([door]) => door);
  }
}
