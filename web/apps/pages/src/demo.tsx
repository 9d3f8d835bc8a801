import { Badge, Button, Group, Select, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { useState } from 'react';
import { book } from './actions';
import { Waiting } from './app';
import { Dashboard } from './dashboard/dashboard';
import { StopwatchProvider, useStopwatch } from './latency';
import { heldToken, type Person, usePeople } from './people';
import { toast } from './toasts';

/** The dashboards of a client and a provider, side by side, or one alone. */
export default function Demo({ only }: { only?: 'CLIENT' | 'PROVIDER' | undefined }) {
  const people = usePeople();
  if (!people) return <Waiting />;
  return (
    <StopwatchProvider>
      <Sides people={people} only={only} />
    </StopwatchProvider>
  );
}

const services = ['Piano lesson', 'Window cleaning', 'Dog walking', 'Bike repair', 'Photo session'];

function Sides({ people, only }: { people: Person[]; only?: 'CLIENT' | 'PROVIDER' | undefined }) {
  const first = (role: Person['role']) =>
    people.find((p) => p.role === role && p.suggested) ?? people.find((p) => p.role === role);
  const [client, setClient] = useState(first('CLIENT')?.id ?? null);
  const [provider, setProvider] = useState(first('PROVIDER')?.id ?? null);
  const [asking, setAsking] = useState(false);
  const of = (id: string | null) => people.find((p) => p.id === id);
  const sides = [
    { role: 'CLIENT' as const, label: 'Client', id: client, set: setClient },
    { role: 'PROVIDER' as const, label: 'Provider', id: provider, set: setProvider },
  ];
  const shown = sides.filter((s) => !only || s.role === only);
  const { start } = useStopwatch();

  async function request() {
    if (!client || !provider) return;
    setAsking(true);
    try {
      const service = services[Math.floor(Math.random() * services.length)] as string;
      const price = 5 * (4 + Math.floor(Math.random() * 30));
      start(client, 0, 'book');
      await book(await heldToken(client), { provider_id: provider, service, price });
    } catch (error) {
      toast((error as Error).message, { failed: true });
    } finally {
      setAsking(false);
    }
  }

  return (
    <Stack gap="md">
      <Group justify="space-between" align="end" gap="md">
        <div>
          <Title order={1} size="h2">
            {only === 'CLIENT' ? 'Client' : only === 'PROVIDER' ? 'Provider' : 'Marketplace'}
          </Title>
          <Text size="sm" c="dimmed" maw={620}>
            {only
              ? 'Their own rows, live. Open the other side in another window and click.'
              : 'A click only writes rows. The other side hears of it from Postgres.'}
          </Text>
        </div>
        <Group align="end" gap="sm" flex={{ base: '1 1 100%', sm: '0 0 auto' }}>
          {(only === 'PROVIDER' ? shown : sides).map(({ role, label, id, set }) => (
            <Select
              key={role}
              label={only && role !== only ? `Books ${label.toLowerCase()}` : label}
              data={people.filter((p) => p.role === role).map((p) => ({ value: p.id, label: p.name }))}
              value={id}
              onChange={(value) => value && set(value)}
              allowDeselect={false}
              comboboxProps={{ withinPortal: true }}
              flex="1 1 130px"
              maw={{ sm: 160 }}
            />
          ))}
          {only !== 'PROVIDER' && (
            <Button onClick={() => void request()} loading={asking} flex={{ base: '1 1 auto', sm: 'none' }}>
              Book the provider
            </Button>
          )}
        </Group>
      </Group>
      {!only && <Trips people={people} />}
      <SimpleGrid cols={{ base: 1, md: shown.length }} spacing="md">
        {shown.map(({ role, id }) => {
          const person = of(id);
          return person && <Dashboard key={role} person={person} people={people} />;
        })}
      </SimpleGrid>
    </Stack>
  );
}

/** The last clicks, and how long they took to arrive on the other side. */
function Trips({ people }: { people: Person[] }) {
  const { trips } = useStopwatch();
  const name = (id: string) => people.find((p) => p.id === id)?.name.split(' ')[0] ?? id;
  return (
    <Group
      className="card"
      px="md"
      py={8}
      gap="sm"
      mih={46}
      role="status"
      aria-label="From click to screen"
      data-testid="trips"
    >
      <Text size="sm" fw={600}>
        Click to screen
      </Text>
      {trips.length === 0 && (
        <Text size="sm" c="dimmed">
          Click Accept, Pay or Release: how long it takes to the other side is shown here.
        </Text>
      )}
      {trips.map(({ n, what, ms, to }, i) => (
        <Group key={n} gap={6} wrap="nowrap" visibleFrom={i ? 'sm' : undefined}>
          <Text size="sm" c={i ? 'dimmed' : undefined}>
            {what}: {ms.toFixed(0)} ms
          </Text>
          <Badge size="sm" variant="light" color="gray" tt="none" c={i ? 'dimmed' : undefined}>
            to {name(to)}
          </Badge>
        </Group>
      ))}
    </Group>
  );
}
