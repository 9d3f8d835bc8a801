import { Text } from '@mantine/core';
import { money, type Payout } from '../rows';

const width = 480;
const height = 120;

/** What has been earned so far, payout by payout: paid out, and on the way. */
export function Earnings({ payouts }: { payouts: readonly Payout[] }) {
  const paid = steps(payouts.filter((p) => p.status === 'PAID'));
  const all = steps(payouts);
  const most = all.at(-1) ?? 0;
  const earned = paid.at(-1) ?? 0;
  return (
    <figure style={{ margin: 0 }}>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        width="100%"
        height={height}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Earnings over ${payouts.length} payouts: ${money(earned)} paid out of ${money(most)}`}
      >
        <path d={area(all, all.length, most)} fill="var(--mantine-color-teal-2)" />
        <path d={area(paid, all.length, most)} fill="var(--mantine-color-teal-7)" />
      </svg>
      <Text component="figcaption" size="sm">
        <b>{money(earned)}</b> paid out, <b>{money(most - earned)}</b> on the way
      </Text>
    </figure>
  );
}

/** The sum after each payout, in the order in which they were made. */
function steps(payouts: readonly Payout[]): number[] {
  let sum = 0;
  return [...payouts].sort((a, b) => a.id - b.id).map((p) => (sum += Number(p.amount)));
}

function area(sums: readonly number[], slots: number, most: number): string {
  if (!sums.length) return '';
  const x = (i: number) => ((i / slots) * width).toFixed(1);
  const y = (sum: number) => (height - (sum / most) * (height - 4)).toFixed(1);
  return `M0 ${height}${sums.map((s, i) => `V${y(s)}H${x(i + 1)}`).join('')}V${height}Z`;
}
