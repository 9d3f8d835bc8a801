import { Card, Loader, SimpleGrid, Stack, Table, Text, Title } from '@mantine/core';
import { PgbellError } from '@pgbell/client';
import { PgbellProvider, useBell } from '@pgbell/react';
import { useEffect, useState } from 'react';
import { tokenOf, usePeople } from './people';

/** What GET /api/socket says. */
interface Server {
  version: string;
  uptimeSeconds: number;
  live: boolean;
  connections: Record<'total' | 'websocket' | 'sse' | 'poll', number>;
  users: number;
  rooms: number;
  connected?: { userId: string; sessions: number; transports: string[]; since: string }[];
}

/** For operators: the state of the server, as an admin sees it. */
export default function Console() {
  const people = usePeople();
  const admin = people?.find((p) => p.role === 'ADMIN');
  if (people === undefined) return <Loader aria-label="Loading" />;
  if (!admin) return <Text>Nobody here is an admin.</Text>;
  return (
    <PgbellProvider userId={admin.id} token={() => tokenOf(admin.id)}>
      <Overview />
    </PgbellProvider>
  );
}

function Overview() {
  const bell = useBell();
  const [server, setServer] = useState<Server>();
  const [error, setError] = useState<PgbellError>();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let over = false;
    const look = async () => {
      try {
        setServer(await bell.request<Server>('api/socket'));
        setError(undefined);
      } catch (e) {
        setError(e instanceof PgbellError ? e : undefined);
      }
      if (!over) timer = setTimeout(look, 2000);
    };
    void look();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [bell]);
  return (
    <Stack>
      <Title order={1} size="h3">
        Console
      </Title>
      {error && <Text role="alert">{error.message}</Text>}
      {server && (
        <>
          <SimpleGrid cols={{ base: 2, md: 4 }}>
            {(
              [
                ['Database', server.live ? 'live' : 'lost'],
                ['Connections', server.connections.total],
                ['WebSocket', server.connections.websocket],
                ['Server-sent events', server.connections.sse],
                ['Polling', server.connections.poll],
                ['Users', server.users],
                ['Rooms', server.rooms],
                ['Up', `${Math.round(server.uptimeSeconds / 60)} min`],
              ] as const
            ).map(([name, value]) => (
              <Card withBorder key={name}>
                <Text size="sm">{name}</Text>
                <Text size="xl" fw={700}>
                  {value}
                </Text>
              </Card>
            ))}
          </SimpleGrid>
          {server.connected && (
            <Table>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>User</Table.Th>
                  <Table.Th>Sessions</Table.Th>
                  <Table.Th>By</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {server.connected.map((c) => (
                  <Table.Tr key={c.userId}>
                    <Table.Td>{c.userId}</Table.Td>
                    <Table.Td>{c.sessions}</Table.Td>
                    <Table.Td>{c.transports.join(', ')}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          )}
        </>
      )}
    </Stack>
  );
}
