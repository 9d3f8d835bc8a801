import { useMemo } from 'react';
import { Chart } from '../chart/chart';
import { money } from '../format';
import type { Payment, Payout } from '../rows';
import { sums } from './sums';

const whole = new Intl.NumberFormat('en', {
  style: 'currency',
  currency: 'EUR',
  notation: 'compact',
  maximumFractionDigits: 1,
});
const amount = (value: number) => whole.format(value);

/** What has been earned so far, payout by payout: paid out, and on the way. */
export function Earnings({ payouts }: { payouts: readonly Payout[] }) {
  const { x, all, done } = useMemo(() => sums(payouts, (p) => p.status === 'PAID'), [payouts]);
  return (
    <Chart
      label={`Earnings over ${payouts.length} payouts: ${money(done.at(-1) ?? 0)} paid out of ${money(all.at(-1) ?? 0)}`}
      x={x}
      series={[
        { name: 'Earned', hue: 'blue', values: all, fill: true },
        { name: 'Paid out', hue: 'teal', values: done, fill: true },
      ]}
      format={money}
      tick={amount}
      height={112}
      steps
      empty="Earnings appear with the first payout."
    />
  );
}

/** What has been spent so far, payment by payment: released, and held. */
export function Spending({ payments }: { payments: readonly Payment[] }) {
  const { x, all, done } = useMemo(
    () =>
      sums(
        payments.filter((p) => p.status !== 'REFUNDED'),
        (p) => p.status === 'RELEASED',
      ),
    [payments],
  );
  return (
    <Chart
      label={`Spending over ${payments.length} payments: ${money(done.at(-1) ?? 0)} released of ${money(all.at(-1) ?? 0)}`}
      x={x}
      series={[
        { name: 'Paid', hue: 'blue', values: all, fill: true },
        { name: 'Released', hue: 'teal', values: done, fill: true },
      ]}
      format={money}
      tick={amount}
      height={112}
      steps
      empty="Spending appears with the first payment."
    />
  );
}
