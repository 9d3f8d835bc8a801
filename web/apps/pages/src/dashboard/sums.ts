/** The sums after each row, in the order in which they were made: of all, and of those that are done. */
export function sums<Row extends { id: number; amount: number }>(
  rows: readonly Row[],
  isDone: (row: Row) => boolean,
): { x: number[]; all: number[]; done: number[] } {
  const x: number[] = [];
  const all: number[] = [];
  const done: number[] = [];
  let total = 0;
  let finished = 0;
  for (const row of [...rows].sort((a, b) => a.id - b.id)) {
    total += Number(row.amount);
    if (isDone(row)) finished += Number(row.amount);
    x.push(x.length + 1);
    all.push(total);
    done.push(finished);
  }
  return { x, all, done };
}
