import {
  Badge,
  Button,
  Center,
  Group,
  ScrollArea,
  Skeleton,
  Stack,
  Text,
  VisuallyHidden,
} from '@mantine/core';
import { memo, type ReactNode, useEffect, useRef } from 'react';
import type { Action } from '../actions';
import { count, moment, money, word } from '../format';
import type { Booking, Payment, Payout } from '../rows';

const colors: Record<string, string> = {
  PENDING: 'yellow',
  CONFIRMED: 'blue',
  COMPLETED: 'teal',
  DECLINED: 'gray',
  CANCELLED: 'gray',
  HELD: 'yellow',
  RELEASED: 'teal',
  REFUNDED: 'gray',
  SCHEDULED: 'yellow',
  PAID: 'teal',
};

const Mark = ({ of }: { of: string }) => (
  <Badge color={colors[of] ?? 'gray'} variant="dot" size="sm" tt="none" miw="max-content">
    {word(of)}
  </Badge>
);

/** Lights up for a moment when what it shows has changed. */
function useFlash(sign: string) {
  const element = useRef<HTMLTableRowElement>(null);
  const before = useRef(sign);
  const changed = useRef(0);
  useEffect(() => {
    if (before.current === sign) return;
    before.current = sign;
    // A row that changes all the time would do nothing but shine.
    const calm = performance.now() - changed.current > 1000;
    changed.current = performance.now();
    if (!calm || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    element.current?.animate([{ background: 'var(--flash)' }, { background: 'transparent' }], 1500);
  }, [sign]);
  return element;
}

function Row({
  id,
  sign,
  title,
  detail,
  mark,
  amount,
  children,
}: {
  id: number;
  sign: string;
  title: string;
  detail: string;
  mark: string;
  amount: number;
  children?: ReactNode;
}) {
  const element = useFlash(sign);
  return (
    <tr className="row" data-row={id} ref={element}>
      <Text component="td" size="xs" c="dimmed" className="row-id">
        {id}
      </Text>
      <Stack component="td" gap={0} miw={0} className="row-main">
        <Group gap={6} wrap="nowrap" miw={0}>
          <Text size="sm" fw={600} truncate>
            {title}
          </Text>
          <Mark of={mark} />
        </Group>
        <Text size="xs" c="dimmed" truncate>
          {detail}
        </Text>
      </Stack>
      <Text component="td" size="sm" fw={600} className="row-side">
        {money(amount)}
      </Text>
      <td className="row-side row-actions">{children}</td>
    </tr>
  );
}

/** What the places of a row are, for those who hear it. */
const columns = ['Number', 'What', 'Amount', 'Actions'];

/** How many rows a list shows: a dashboard is for what is new. */
const shown = 30;

interface ListProps<Row> {
  label: string;
  rows: readonly Row[];
  loading: boolean;
  empty: string;
  line: (row: Row) => ReactNode;
}

/** The newest rows of a type. */
function List<R extends { id: number }>({ label, rows, loading, empty, line }: ListProps<R>) {
  const first = rows.slice(0, shown);
  return (
    <ScrollArea h={340} viewportProps={{ tabIndex: 0, role: 'region', 'aria-label': label }}>
      {loading ? (
        <Stack p="md" gap="md" aria-busy="true">
          {[1, 2, 3, 4].map((n) => (
            <Skeleton key={n} h={40} />
          ))}
        </Stack>
      ) : first.length === 0 ? (
        <Center h={300}>
          <Text c="dimmed" size="sm">
            {empty}
          </Text>
        </Center>
      ) : (
        <>
          <table className="rows" aria-label={label}>
            <VisuallyHidden component="thead">
              <tr>
                {columns.map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </VisuallyHidden>
            <tbody>{first.map(line)}</tbody>
          </table>
          {rows.length > shown && (
            <Text size="xs" c="dimmed" ta="center" p="sm">
              and {count(rows.length - shown, 'older one')}
            </Text>
          )}
        </>
      )}
    </ScrollArea>
  );
}

const newest = <R,>(rows: readonly R[]): readonly R[] => rows.slice().reverse();

export type Offer = (booking: Booking) => readonly Action[];

const words: Record<Action, string> = {
  accept: 'Accept',
  decline: 'Decline',
  cancel: 'Cancel',
  pay: 'Pay',
  release: 'Release',
};

interface BookingRowProps {
  booking: Booking;
  other: string;
  offered: string;
  busy: boolean;
  act: (booking: number, action: Action) => void;
}

const BookingRow = memo(function BookingRow({ booking: b, other, offered, busy, act }: BookingRowProps) {
  return (
    <Row
      id={b.id}
      sign={`${b.status} ${b.price} ${offered}`}
      title={b.service}
      detail={`${other} · ${moment(b.starts_at)}${b.provider_note ? ` · ${b.provider_note}` : ''}`}
      mark={b.status}
      amount={b.price}
    >
      {offered && (
        <Group gap={6} wrap="nowrap">
          {(offered.split(' ') as Action[]).map((action) => (
            <Button
              key={action}
              size="compact-sm"
              variant={action === 'cancel' || action === 'decline' ? 'default' : 'filled'}
              disabled={busy}
              aria-label={`${action} booking ${b.id}`}
              onClick={() => act(b.id, action)}
            >
              {words[action]}
            </Button>
          ))}
        </Group>
      )}
    </Row>
  );
});

/** Those that wait for the user come first. */
const urgent = (offered: readonly Action[]) => offered.some((a) => a !== 'cancel');

export function Bookings(props: {
  of: string;
  rows: readonly Booking[];
  loading: boolean;
  names: ReadonlyMap<string, string>;
  other: 'client_id' | 'provider_id';
  offer: Offer;
  busy: ReadonlySet<number>;
  act: (booking: number, action: Action) => void;
}) {
  const { of, rows, loading, names, other, offer, busy, act } = props;
  const lines = newest(rows).map((booking) => ({ id: booking.id, booking, offered: offer(booking) }));
  const sorted = [...lines.filter((l) => urgent(l.offered)), ...lines.filter((l) => !urgent(l.offered))];
  return (
    <List
      label={`Bookings of ${of}`}
      rows={sorted}
      loading={loading}
      empty="No bookings yet"
      line={({ id, booking, offered }) => (
        <BookingRow
          key={id}
          booking={booking}
          other={names.get(booking[other]) ?? booking[other]}
          offered={offered.join(' ')}
          busy={busy.has(id)}
          act={act}
        />
      )}
    />
  );
}

interface Rows<R> {
  of: string;
  rows: readonly R[];
  loading: boolean;
}

export const Payments = ({ of, rows, loading }: Rows<Payment>) => (
  <List
    label={`Payments of ${of}`}
    rows={newest(rows)}
    loading={loading}
    empty="No payments yet"
    line={(p) => (
      <Row
        key={p.id}
        id={p.id}
        sign={p.status}
        title={`Booking ${p.booking_id}`}
        detail={`Payment ${p.id}`}
        mark={p.status}
        amount={p.amount}
      />
    )}
  />
);

export const Payouts = ({ of, rows, loading }: Rows<Payout>) => (
  <List
    label={`Payouts of ${of}`}
    rows={newest(rows)}
    loading={loading}
    empty="No payouts yet"
    line={(p) => (
      <Row
        key={p.id}
        id={p.id}
        sign={p.status}
        title={`Payout ${p.id}`}
        detail={moment(p.created_at)}
        mark={p.status}
        amount={p.amount}
      />
    )}
  />
);
