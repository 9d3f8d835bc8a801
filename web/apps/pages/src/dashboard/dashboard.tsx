import { Card, Group, Stack, Tabs, Text, Title } from '@mantine/core';
import { PgbellProvider, useRows, useSocket } from '@pgbell/react';
import { useCallback, useState } from 'react';
import { type Action, act } from '../actions';
import { StatusBadge } from '../badge';
import { useStopwatch } from '../latency';
import { type Person, tokenOf } from '../people';
import type { Booking } from '../rows';
import { toast } from '../toasts';
import { Earnings } from './earnings';
import { Bookings, Payments, Payouts } from './lists';
import { NotificationPanel } from './notifications';

/** What somebody is told of, by type and action. */
const news: Record<Person['role'], Record<string, string>> = {
  CLIENT: {
    'booking accepted': 'Your booking has been accepted!',
    'booking declined': 'Your booking was declined.',
    'booking completed': 'Your booking is completed.',
    'payment refunded': 'You got your money back.',
  },
  PROVIDER: {
    'booking created': 'You have a new booking.',
    'booking entered': 'A booking was given to you.',
    'booking cancelled': 'A booking was cancelled.',
    'payment created': 'A client has paid.',
    'payment released': 'A payment was released to you.',
    'payout paid': 'A payout is on your account.',
  },
  ADMIN: {},
};

/** What somebody sees of the marketplace: their own rows, live. */
export function Dashboard({ person }: { person: Person }) {
  return (
    <PgbellProvider key={person.id} userId={person.id} token={() => tokenOf(person.id)}>
      <Panel person={person} />
    </PgbellProvider>
  );
}

function Panel({ person }: { person: Person }) {
  const { id, role, name } = person;
  const client = role === 'CLIENT';
  const bookings = useRows('booking');
  const payments = useRows('payment');
  const payouts = useRows('payout', { enabled: !client });
  const { start, arrived } = useStopwatch();
  const [busy, setBusy] = useState<ReadonlySet<number>>(new Set());

  const tell = (type: string, action: string, key: unknown) => {
    const message = news[role][`${type} ${action}`];
    if (message) toast(message, { title: name, id: `${id} ${type} ${action} ${key}` });
  };
  const { state } = useSocket({
    onBookingUpdate: (u) => {
      arrived(id, u.op === 'insert' ? 0 : Number(u.key?.id));
      tell('booking', u.action, u.key?.id);
    },
    onPaymentUpdate: (u) => {
      if (u.op === 'insert' || u.op === 'update') arrived(id, u.data.booking_id);
      tell('payment', u.action, u.key?.id);
    },
    onPayoutUpdate: (u) => tell('payout', u.action, u.key?.id),
    onNotification: (n) => toast(n.message, { title: n.title }),
  });

  const perform = useCallback(
    async (booking: number, action: Action) => {
      setBusy((before) => new Set(before).add(booking));
      start(id, booking, `${action} booking ${booking}`);
      try {
        await act(await tokenOf(id), booking, action);
      } catch (error) {
        toast((error as Error).message, { title: name, failed: true });
      } finally {
        setBusy((before) => new Set([...before].filter((b) => b !== booking)));
      }
    },
    [id, name, start],
  );

  const paid = new Map(payments.rows.map((p) => [p.booking_id, p.status]));
  const offer = ({ id: booking, status }: Booking): readonly Action[] => {
    if (status === 'PENDING') return client ? ['cancel'] : ['accept', 'decline'];
    if (status !== 'CONFIRMED') return [];
    if (!client) return ['cancel'];
    if (!paid.has(booking)) return ['pay', 'cancel'];
    return paid.get(booking) === 'HELD' ? ['release', 'cancel'] : [];
  };

  return (
    <Card
      withBorder
      component="section"
      aria-label={`${client ? 'Client' : 'Provider'} dashboard`}
      data-user={id}
    >
      <Stack gap="sm">
        <Group justify="space-between" wrap="nowrap">
          <div>
            <Title order={2} size="h4">
              {name}
            </Title>
            <Text size="sm" c="dimmed">
              {role.toLowerCase()} {id}
            </Text>
          </div>
          <Group gap="sm">
            <StatusBadge state={state} />
            <NotificationPanel />
          </Group>
        </Group>
        {!client && <Earnings payouts={payouts.rows} />}
        <Tabs defaultValue="bookings" keepMounted={false} color="teal.9">
          <Tabs.List aria-label={`Rows of ${name}`}>
            <Tabs.Tab value="bookings">Bookings ({bookings.rows.length})</Tabs.Tab>
            <Tabs.Tab value="payments">Payments ({payments.rows.length})</Tabs.Tab>
            {!client && <Tabs.Tab value="payouts">Payouts ({payouts.rows.length})</Tabs.Tab>}
          </Tabs.List>
          <Tabs.Panel value="bookings">
            <Bookings
              {...bookings}
              of={name}
              other={client ? 'provider_id' : 'client_id'}
              offer={offer}
              busy={busy}
              act={perform}
            />
          </Tabs.Panel>
          <Tabs.Panel value="payments">
            <Payments {...payments} of={name} />
          </Tabs.Panel>
          <Tabs.Panel value="payouts">
            <Payouts {...payouts} of={name} />
          </Tabs.Panel>
        </Tabs>
      </Stack>
    </Card>
  );
}
