import { Badge, Button, Group, ScrollArea, Table, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import type { Action } from '../actions';
import { type Booking, moment, money, type Payment, type Payout } from '../rows';

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
  <Badge color={colors[of] ?? 'gray'} variant="dot" miw="max-content">
    {of.toLowerCase()}
  </Badge>
);

interface ListProps<Row> {
  label: string;
  rows: readonly Row[];
  loading: boolean;
  columns: readonly string[];
  line: (row: Row) => readonly ReactNode[];
}

/** The newest rows of a type, as a table. */
export function List<Row extends { id: number }>({ label, rows, loading, columns, line }: ListProps<Row>) {
  const newest = rows.slice(-30).reverse();
  return (
    <ScrollArea.Autosize mah={320} viewportProps={{ tabIndex: 0, role: 'region', 'aria-label': label }}>
      <Table stickyHeader style={{ whiteSpace: 'nowrap' }} horizontalSpacing="xs" verticalSpacing={6}>
        <Table.Thead>
          <Table.Tr>
            {columns.map((c) => (
              <Table.Th key={c}>{c}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {newest.map((row) => (
            <Table.Tr key={row.id} data-row={row.id}>
              {line(row).map((cell, i) => (
                <Table.Td key={columns[i]}>{cell}</Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      {newest.length === 0 && (
        <Text c="dimmed" size="sm" p="xs">
          {loading ? 'Loading' : 'Nothing yet'}
        </Text>
      )}
    </ScrollArea.Autosize>
  );
}

export type Offer = (booking: Booking) => readonly Action[];

export function Bookings(props: {
  of: string;
  rows: readonly Booking[];
  loading: boolean;
  other: 'client_id' | 'provider_id';
  offer: Offer;
  busy: ReadonlySet<number>;
  act: (booking: number, action: Action) => void;
}) {
  const { of, rows, loading, other, offer, busy, act } = props;
  return (
    <List
      label={`Bookings of ${of}`}
      rows={rows}
      loading={loading}
      columns={['#', 'Service', 'With', 'Price', 'Status', 'Actions', 'When']}
      line={(b) => [
        b.id,
        b.service,
        b[other],
        money(b.price),
        <Mark key="status" of={b.status} />,
        <Group key="actions" gap={4} wrap="nowrap">
          {offer(b).map((action) => (
            <Button
              key={action}
              size="compact-xs"
              variant={action === 'cancel' || action === 'decline' ? 'default' : 'filled'}
              loading={busy.has(b.id)}
              aria-label={`${action} booking ${b.id}`}
              onClick={() => act(b.id, action)}
            >
              {action}
            </Button>
          ))}
        </Group>,
        moment(b.starts_at),
      ]}
    />
  );
}

export const Payments = ({
  of,
  rows,
  loading,
}: {
  of: string;
  rows: readonly Payment[];
  loading: boolean;
}) => (
  <List
    label={`Payments of ${of}`}
    rows={rows}
    loading={loading}
    columns={['#', 'Booking', 'Amount', 'Status']}
    line={(p) => [p.id, p.booking_id, money(p.amount), <Mark key="status" of={p.status} />]}
  />
);

export const Payouts = ({ of, rows, loading }: { of: string; rows: readonly Payout[]; loading: boolean }) => (
  <List
    label={`Payouts of ${of}`}
    rows={rows}
    loading={loading}
    columns={['#', 'Made', 'Amount', 'Status']}
    line={(p) => [p.id, moment(p.created_at), money(p.amount), <Mark key="status" of={p.status} />]}
  />
);
