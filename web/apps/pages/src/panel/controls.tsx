import { Badge, Button, Group, JsonInput, Select, SimpleGrid, Stack, Text, TextInput } from '@mantine/core';
import { type FormEvent, type ReactNode, useState } from 'react';
import { book } from '../actions';
import { mint, type Person } from '../people';
import { Box } from './box';
import { ask, type Way, ways, wordsOf } from './link';
import type { Kind } from './log';

interface ConnectionProps {
  way: Way;
  setWay: (way: Way) => void;
  ready: boolean;
  open: boolean;
  connected: boolean;
  cut: boolean;
  connect: () => void;
  cutLink: () => void;
  resume: () => void;
  close: () => void;
  children?: ReactNode;
}

/** The door, and the link through it. */
export function Connection(props: ConnectionProps) {
  const { way, setWay, ready, open, connected, cut, connect, cutLink, resume, close, children } = props;
  return (
    <Box title="Connection">
      <Stack gap="sm">
        <Select
          label="Door"
          allowDeselect={false}
          value={way}
          onChange={(value) => value && setWay(value as Way)}
          data={[...ways]}
        />
        <Group gap="xs">
          <Button onClick={connect} disabled={!ready}>
            {open ? 'Connect anew' : 'Connect'}
          </Button>
          {cut ? (
            <Button variant="default" onClick={resume}>
              Resume
            </Button>
          ) : (
            <Button variant="default" disabled={!connected} onClick={cutLink}>
              Cut
            </Button>
          )}
          <Button variant="default" disabled={!open} onClick={close}>
            Close
          </Button>
        </Group>
        <Text size="xs" c="dimmed">
          {cut
            ? 'Cut. Write some rows, then resume: what was missed comes, and nothing twice.'
            : 'Cut the link, write some rows, resume: what was missed comes, and nothing twice.'}
        </Text>
        {children}
      </Stack>
    </Box>
  );
}

interface RoomsProps {
  /** The door that is open takes messages. */
  able: boolean;
  rooms: readonly string[];
  enter: (what: 'join' | 'leave', room: string) => Promise<void>;
}

/** Joins rooms, and leaves them. */
export function Rooms({ able, rooms, enter }: RoomsProps) {
  const [room, setRoom] = useState('');
  const [error, setError] = useState('');
  const [waiting, setWaiting] = useState(false);
  async function go(what: 'join' | 'leave', name: string) {
    setError('');
    setWaiting(true);
    try {
      await enter(what, name);
    } catch (e) {
      setError(wordsOf(e));
    } finally {
      setWaiting(false);
    }
  }
  return (
    <Box title="Rooms">
      <form
        onSubmit={(e: FormEvent) => {
          e.preventDefault();
          if (room && able) void go('join', room);
        }}
      >
        <Group align="end" gap="xs" wrap="nowrap">
          <TextInput
            label="Room"
            placeholder="booking:2"
            value={room}
            onChange={(e) => setRoom(e.currentTarget.value)}
            flex={1}
          />
          <Button type="submit" variant="default" disabled={!able || !room || waiting}>
            Join
          </Button>
          <Button
            variant="default"
            disabled={!able || !room || waiting}
            onClick={() => void go('leave', room)}
          >
            Leave
          </Button>
        </Group>
      </form>
      {error && (
        <Text size="sm" c="var(--mantine-color-error)" role="alert" mt={6}>
          {error}
        </Text>
      )}
      <Group gap={6} mt="xs" mih={22}>
        {rooms.length === 0 ? (
          <Text size="xs" c="dimmed">
            In no room but one’s own. Rooms need a WebSocket or Socket.IO.
          </Text>
        ) : (
          rooms.map((r) => (
            <Badge key={r} variant="light" color="gray" tt="none">
              {r}
            </Badge>
          ))
        )}
      </Group>
    </Box>
  );
}

interface WriteProps {
  people: Person[];
  user: string | null;
  wrote: (what: string) => void;
}

/** Has the marketplace write a row that concerns the user. */
export function Write({ people, user, wrote }: WriteProps) {
  const [busy, setBusy] = useState(false);
  const me = people.find((p) => p.id === user);
  const client = me?.role === 'CLIENT' ? me : people.find((p) => p.role === 'CLIENT');
  const provider = me?.role === 'PROVIDER' ? me : people.find((p) => p.role === 'PROVIDER');
  async function write() {
    if (!client || !provider) return;
    setBusy(true);
    try {
      await book(client.token, { provider_id: provider.id, service: 'Test panel', price: 60 });
      wrote(`The marketplace wrote a booking of ${client.id} with ${provider.id}.`);
    } catch (error) {
      wrote(wordsOf(error));
    } finally {
      setBusy(false);
    }
  }
  return (
    <Box title="Rows">
      <Group justify="space-between" wrap="nowrap">
        <Text size="sm">
          {me ? `A booking that ${me.name} hears of` : 'A booking, through the sample application'}
        </Text>
        <Button variant="default" onClick={() => void write()} loading={busy} flex="none">
          Write a row
        </Button>
      </Group>
    </Box>
  );
}

interface PublishProps {
  token: string;
  demo: boolean;
  user: string | null;
  note: (kind: Kind, text: string) => void;
}

/** Sends an event through POST /api/socket. */
export function Publish({ token, demo, user, note }: PublishProps) {
  const [type, setType] = useState('notice');
  const [action, setAction] = useState('sent');
  const [target, setTarget] = useState('');
  const [data, setData] = useState('{"text": "Hello"}');
  const [sending, setSending] = useState(false);
  const [said, setSaid] = useState<{ text: string; failed: boolean } | null>(null);
  const to = target || user || '';
  async function send(event: FormEvent) {
    event.preventDefault();
    setSending(true);
    try {
      // Where anybody may be anybody, the event comes from the application.
      const bearer = demo ? await mint('test-panel', ['SERVICE'], 60) : token;
      const body = { event: { type, action }, data: JSON.parse(data || '{}'), targetUsers: [to] };
      const { id } = await ask<{ id: number }>(bearer, 'api/socket', body);
      setSaid({ text: `Event ${id} is in the log.`, failed: false });
      note('note', `Event ${id} (${type}_update) was sent to ${to}.`);
    } catch (error) {
      setSaid({ text: wordsOf(error), failed: true });
      note('error', `The event was not sent. ${wordsOf(error)}`);
    } finally {
      setSending(false);
    }
  }
  return (
    <Box title="Test event">
      <form onSubmit={(e) => void send(e)}>
        <Stack gap="xs">
          <SimpleGrid cols={{ base: 1, xs: 3 }} spacing="xs">
            <TextInput label="Type" value={type} onChange={(e) => setType(e.currentTarget.value)} />
            <TextInput label="Action" value={action} onChange={(e) => setAction(e.currentTarget.value)} />
            <TextInput
              label="To the user"
              placeholder={user ?? 'anna'}
              value={target}
              onChange={(e) => setTarget(e.currentTarget.value)}
            />
          </SimpleGrid>
          <JsonInput
            label="Data"
            value={data}
            onChange={setData}
            rows={2}
            validationError="This is no JSON."
            styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 12 } }}
          />
          <Group justify="space-between" wrap="nowrap">
            <Text
              size="xs"
              c={said?.failed ? 'var(--mantine-color-error)' : 'dimmed'}
              aria-live="polite"
              className="wrap"
            >
              {said?.text ?? (demo ? 'Signed as a service.' : 'Needs a role of api.service_roles.')}
            </Text>
            <Button
              type="submit"
              variant="default"
              disabled={!to || (!demo && !token)}
              loading={sending}
              flex="none"
            >
              Send
            </Button>
          </Group>
        </Stack>
      </form>
    </Box>
  );
}
