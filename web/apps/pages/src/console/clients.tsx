import { Button, CloseButton, Group, SimpleGrid, Stack, Text, TextInput } from '@mantine/core';
import { useMemo, useState } from 'react';
import { ago, bytes, clock, count } from '../format';
import { SearchIcon } from '../icons';
import { doorName, type Stats, type UserSessions, type Users } from './answers';
import { Answered, Grid, Section } from './parts';
import { usePolled } from './poll';

/** How many users the list shows; the others are found by their id. */
const most = 50;

/** Who is connected, which rooms are large, and who reads slowly. */
export function Clients({ stats }: { stats: Stats | undefined }) {
  const [user, setUser] = useState('');
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
      {user ? <Sessions user={user} close={() => setUser('')} /> : <Connected open={setUser} />}
      <Stack gap="lg" miw={0}>
        <Section title="Top rooms" aside={stats && count(stats.rooms, 'room')}>
          <Grid
            label="Top rooms"
            rows={stats?.topRooms.slice(0, 10) ?? []}
            id={(r) => r.room}
            empty="Nobody is in a room."
            columns={[
              { name: 'Room', value: (r) => r.room },
              { name: 'Sessions', value: (r) => r.sessions, right: true },
            ]}
          />
        </Section>
        <Section title="Slow clients" aside={stats && `${bytes(stats.queuedBytes)} wait in all queues`}>
          <Grid
            label="Slow clients"
            rows={stats?.slow ?? []}
            id={(s) => s.session}
            empty="Nothing waits for anybody."
            columns={[
              { name: 'User', value: (s) => s.userId || 'not known yet' },
              { name: 'Door', value: (s) => doorName(s.transport) },
              { name: 'Waiting', value: (s) => bytes(s.queuedBytes), right: true },
            ]}
          />
        </Section>
      </Stack>
    </SimpleGrid>
  );
}

function Connected({ open }: { open: (user: string) => void }) {
  const users = usePolled<Users>('api/socket', 3000);
  const [text, setText] = useState('');
  const found = useMemo(
    () => (users.data?.connected ?? []).filter((u) => u.userId.toLowerCase().includes(text.toLowerCase())),
    [users.data, text],
  );
  return (
    <Section title="Users">
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (text.trim()) open(text.trim());
        }}
      >
        <Group gap="xs" wrap="nowrap" mb="xs">
          <TextInput
            aria-label="Find a user"
            placeholder="Find a user"
            leftSection={<SearchIcon size={14} />}
            value={text}
            onChange={(e) => setText(e.currentTarget.value)}
            size="xs"
            flex={1}
          />
          <Button type="submit" size="xs" variant="default" disabled={!text.trim()}>
            Sessions
          </Button>
        </Group>
      </form>
      <Answered of={users}>
        {({ next }) => (
          <>
            <Grid
              label="Users"
              rows={found.slice(0, most)}
              id={(u) => u.userId}
              empty={text ? 'Nobody of that name is connected.' : 'Nobody is connected.'}
              columns={[
                {
                  name: 'User',
                  value: (u) => (
                    <Button
                      size="compact-sm"
                      variant="default"
                      aria-label={`Sessions of ${u.userId}`}
                      onClick={() => open(u.userId)}
                    >
                      {u.userId}
                    </Button>
                  ),
                },
                { name: 'Roles', value: (u) => u.roles.join(', ') || '–' },
                { name: 'Door', value: (u) => u.transports.map(doorName).join(', ') },
                { name: 'Sessions', value: (u) => u.sessions, right: true },
                { name: 'Since', value: (u) => clock(u.since), right: true },
              ]}
            />
            {(found.length > most || next) && (
              <Text size="xs" c="dimmed">
                There are more. Find them by their id.
              </Text>
            )}
          </>
        )}
      </Answered>
    </Section>
  );
}

function Sessions({ user, close }: { user: string; close: () => void }) {
  const sessions = usePolled<UserSessions>(`api/console/users/${encodeURIComponent(user)}/sessions`, 2000);
  return (
    <Section
      title={`Sessions of ${user}`}
      aside={<CloseButton aria-label="Back to all users" onClick={close} />}
    >
      <Answered of={sessions}>
        {({ sessions: all, more }) => (
          <>
            {all.length === 0 && (
              <Text size="sm" c="dimmed">
                There are none on this node now.
              </Text>
            )}
            {all.map((s) => (
              <Stack key={s.session} gap={2} py="xs" style={{ borderBottom: '1px solid var(--line)' }}>
                <Group justify="space-between">
                  <Text size="sm" fw={600}>
                    {doorName(s.transport)} from {s.address}
                  </Text>
                  <Text size="xs" c="dimmed">
                    {s.state}, {bytes(s.queuedBytes)} waiting
                  </Text>
                </Group>
                <Text size="xs" c="dimmed" className="wrap">
                  Since {clock(s.since)} ({ago(Date.now() - Date.parse(s.since))}), token until{' '}
                  {clock(s.expiresAt)}
                  {s.roles.length > 0 && `, roles ${s.roles.join(', ')}`}
                </Text>
                <Text size="xs" className="wrap mono">
                  {s.rooms.join('  ')}
                </Text>
              </Stack>
            ))}
            {more && (
              <Text size="xs" c="dimmed">
                There are more.
              </Text>
            )}
          </>
        )}
      </Answered>
    </Section>
  );
}
