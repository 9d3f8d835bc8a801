import { Button, Group, Loader, Select, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { useState } from 'react';
import { book } from './actions';
import { Dashboard } from './dashboard/dashboard';
import { StopwatchProvider, useStopwatch } from './latency';
import { type Person, tokenOf, usePeople } from './people';
import { toast } from './toasts';

/** The dashboards of a client and a provider, side by side, or one alone. */
export default function Demo({ only }: { only?: 'CLIENT' | 'PROVIDER' | undefined }) {
  const people = usePeople();
  if (people === undefined) return <Loader aria-label="Loading" />;
  if (people === null) return <Text>This server runs no demo. Start one with pgbell demo.</Text>;
  return (
    <StopwatchProvider>
      <Sides people={people} only={only} />
    </StopwatchProvider>
  );
}

function Sides({ people, only }: { people: Person[]; only?: 'CLIENT' | 'PROVIDER' | undefined }) {
  const first = (role: Person['role']) =>
    people.find((p) => p.role === role && p.suggested) ?? people.find((p) => p.role === role);
  const [client, setClient] = useState(first('CLIENT')?.id ?? null);
  const [provider, setProvider] = useState(first('PROVIDER')?.id ?? null);
  const of = (id: string | null) => people.find((p) => p.id === id);
  const sides = [
    { role: 'CLIENT' as const, label: 'Client', id: client, set: setClient },
    { role: 'PROVIDER' as const, label: 'Provider', id: provider, set: setProvider },
  ].filter((s) => !only || s.role === only);
  const { start } = useStopwatch();

  async function request() {
    if (!client || !provider) return;
    try {
      start(client, 0, 'book'); // it has no number yet
      await book(await tokenOf(client), { provider_id: provider, service: 'Piano lesson', price: 60 });
    } catch (error) {
      toast((error as Error).message, { failed: true });
    }
  }

  return (
    <Stack>
      <Group justify="space-between" align="end">
        <div>
          <Title order={1} size="h3">
            Marketplace
          </Title>
          <Text size="sm">
            Each side shows its own rows. A click only writes rows; the other side hears of it from Postgres.
          </Text>
        </div>
        {!only && <Button onClick={() => void request()}>Book the provider</Button>}
      </Group>
      <Trips />
      <SimpleGrid cols={{ base: 1, lg: sides.length }}>
        {sides.map(({ role, label, id, set }) => {
          const person = of(id);
          return (
            <Stack key={role} gap="xs">
              <Select
                label={label}
                data={people.filter((p) => p.role === role).map((p) => ({ value: p.id, label: p.name }))}
                value={id}
                onChange={(value) => value && set(value)}
                allowDeselect={false}
              />
              {person && <Dashboard person={person} />}
            </Stack>
          );
        })}
      </SimpleGrid>
    </Stack>
  );
}

/** The last clicks, and how long they took to arrive on the other side. */
function Trips() {
  const { trips } = useStopwatch();
  if (!trips.length) return null;
  return (
    <Text size="sm" role="status" data-testid="trips">
      {trips.map(({ what, ms }) => `${what}: ${ms.toFixed(0)} ms`).join(' · ')}
    </Text>
  );
}
