/** Values of a series, null where there are none. */
export type Band = readonly (number | null)[];

/** The top of an axis: the next number of the kind 1, 2, 2.5, 5 times a power of ten. */
export function ceiling(most: number): number {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 2.5, 5, 10].find((s) => s * power >= most * 1.02) ?? 10;
  return step * power;
}

/** Each series on top of those before it. */
export function stack(bands: readonly Band[]): Band[] {
  let below: Band = [];
  return bands.map((band) => {
    below = band.map((v, i) => (v === null ? null : v + (below[i] ?? 0)));
    return below;
  });
}
