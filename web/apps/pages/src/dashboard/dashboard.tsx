import { Alert, Avatar, Group, SimpleGrid, Stack, Tabs, Text, Title } from '@mantine/core';
import type { State } from '@pgbell/client';
import { PgbellProvider, useRows, useSocket } from '@pgbell/react';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { type Action, act } from '../actions';
import { StatusBadge } from '../badge';
import { ago, clock, money } from '../format';
import { useStopwatch } from '../latency';
import { heldToken, type Person, tokenOf } from '../people';
import type { Booking } from '../rows';
import { toast } from '../toasts';
import { Earnings, Spending } from './earnings';
import { Bookings, Payments, Payouts } from './lists';
import { NotificationPanel } from './notifications';

/** Rows that change all the time are shown anew every so many milliseconds. */
const calm = { throttle: 200 };

/** What somebody sees of the marketplace: their own rows, live. */
export function Dashboard({ person, people }: { person: Person; people: Person[] }) {
  return (
    <PgbellProvider key={person.id} userId={person.id} token={() => tokenOf(person.id)}>
      <Panel person={person} people={people} />
    </PgbellProvider>
  );
}

function Panel({ person, people }: { person: Person; people: Person[] }) {
  const { id, role, name } = person;
  const client = role === 'CLIENT';
  const bookings = useRows('booking', calm);
  const payments = useRows('payment', calm);
  const payouts = useRows('payout', { ...calm, enabled: !client });
  const { start, arrived } = useStopwatch();
  const [busy, setBusy] = useState<ReadonlySet<number>>(new Set());

  const { state } = useSocket({
    onBookingUpdate: (u) => arrived(id, u.op === 'insert' ? 0 : Number(u.key?.id)),
    onPaymentUpdate: (u) => {
      if (u.op === 'insert' || u.op === 'update') arrived(id, u.data.booking_id);
    },
    onNotification: (n) => toast(n.title, { title: name, id: `notification ${n.id}` }),
  });

  const perform = useCallback(
    async (booking: number, action: Action) => {
      setBusy((before) => new Set(before).add(booking));
      start(id, booking, `${action} booking ${booking}`);
      try {
        await act(await heldToken(id), booking, action);
      } catch (error) {
        toast((error as Error).message, { title: name, failed: true });
      } finally {
        setBusy((before) => new Set([...before].filter((b) => b !== booking)));
      }
    },
    [id, name, start],
  );

  const paid = useMemo(() => new Map(payments.rows.map((p) => [p.booking_id, p.status])), [payments.rows]);
  const offer = useCallback(
    ({ id: booking, status }: Booking): readonly Action[] => {
      if (status === 'PENDING') return client ? ['cancel'] : ['accept', 'decline'];
      if (status !== 'CONFIRMED') return [];
      if (!client) return ['cancel'];
      if (!paid.has(booking)) return ['pay', 'cancel'];
      return paid.get(booking) === 'HELD' ? ['release', 'cancel'] : [];
    },
    [client, paid],
  );
  const names = useMemo(() => new Map(people.map((p) => [p.id, p.name])), [people]);

  const amounts = (rows: readonly { amount: number }[]) => rows.reduce((sum, r) => sum + Number(r.amount), 0);
  const waiting = bookings.rows.filter((b) => b.status === 'PENDING').length;
  const numbers: [string, string | number][] = client
    ? [
        ['Waiting', waiting],
        ['To pay', bookings.rows.filter((b) => b.status === 'CONFIRMED' && !paid.has(b.id)).length],
        ['Held', money(amounts(payments.rows.filter((p) => p.status === 'HELD')))],
      ]
    : [
        ['Requests', waiting],
        ['Confirmed', bookings.rows.filter((b) => b.status === 'CONFIRMED').length],
        ['On the way', money(amounts(payouts.rows.filter((p) => p.status === 'SCHEDULED')))],
      ];

  return (
    <section
      className="card"
      aria-label={`${client ? 'Client' : 'Provider'} dashboard`}
      data-user={id}
      style={{ minWidth: 0 }}
    >
      <Stack gap="md" p="md">
        <Group justify="space-between" wrap="nowrap" gap="sm">
          <Group gap="sm" wrap="nowrap" miw={0}>
            <Avatar
              color={client ? 'blue' : 'teal'}
              radius="xl"
              name={name}
              variant="light"
              visibleFrom="xs"
            />
            <div style={{ minWidth: 0 }}>
              <Title order={2} size="h4" lineClamp={1}>
                {name}
              </Title>
              <Standing state={state} role={role} />
            </div>
          </Group>
          <Group gap="sm" wrap="nowrap">
            <StatusBadge state={state} />
            <NotificationPanel />
          </Group>
        </Group>
        <SimpleGrid cols={3} spacing="xs">
          {numbers.map(([what, value]) => (
            <Stack key={what} gap={0}>
              <Text size="xs" c="dimmed">
                {what}
              </Text>
              <Text fw={650} fz={{ base: 'md', xs: 'xl' }} lh={1.3}>
                {bookings.loading ? '–' : value}
              </Text>
            </Stack>
          ))}
        </SimpleGrid>
        {client ? <Spending payments={payments.rows} /> : <Earnings payouts={payouts.rows} />}
        {bookings.error && bookings.rows.length === 0 && (
          <Alert color="red" title="The rows cannot be fetched">
            {bookings.error.message}
          </Alert>
        )}
      </Stack>
      <Tabs defaultValue="bookings" keepMounted={false}>
        <Tabs.List aria-label={`Rows of ${name}`} px="xs">
          <Tabs.Tab value="bookings">Bookings ({bookings.rows.length})</Tabs.Tab>
          <Tabs.Tab value="payments">Payments ({payments.rows.length})</Tabs.Tab>
          {!client && <Tabs.Tab value="payouts">Payouts ({payouts.rows.length})</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="bookings">
          <Bookings
            {...bookings}
            of={name}
            names={names}
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
    </section>
  );
}

/** Who it is; and while nothing comes, since when, and when it is tried again. */
function Standing({ state, role }: { state: State; role: Person['role'] }) {
  const out = state.status === 'offline';
  const [now, setNow] = useState(Date.now);
  const [since, setSince] = useState<number | null>(null);
  useEffect(() => {
    if (!out) return setSince(null);
    setSince(Date.now());
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [out]);
  let text = role.toLowerCase();
  if (out && since) {
    const left = state.retryAt ? Math.ceil((state.retryAt - now) / 1000) : 0;
    text = `as of ${clock(since)}, ${left > 0 ? `next try in ${ago(left * 1000)}` : 'trying again'}`;
  }
  return (
    <Text size="sm" c="dimmed" lineClamp={1}>
      {text}
    </Text>
  );
}
