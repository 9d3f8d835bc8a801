import {
  Button,
  Card,
  Code,
  Group,
  ScrollArea,
  Select,
  SimpleGrid,
  Stack,
  Table,
  Text,
  Textarea,
  TextInput,
  Title,
} from '@mantine/core';
import { type DoorName, type ErrorStats, Pgbell, type State } from '@pgbell/client';
import { useEffect, useRef, useState } from 'react';
import { StatusBadge } from './badge';
import { usePeople } from './people';

interface Line {
  n: number;
  at: string;
  direction: 'in' | 'out' | 'note';
  door: string;
  text: string;
}

/** How many lines of the log are kept. */
const kept = 500;

/** Connects by any door and shows every frame. */
export default function TestPanel() {
  const people = usePeople();
  const [token, setToken] = useState('');
  const [door, setDoor] = useState<DoorName | 'all'>('all');
  const [room, setRoom] = useState('');
  const [filter, setFilter] = useState('');
  const [lines, setLines] = useState<readonly Line[]>([]);
  const [state, setState] = useState<State | null>(null);
  const [stats, setStats] = useState<ErrorStats | null>(null);
  const [latency, setLatency] = useState<number | null>(null);
  const bell = useRef<Pgbell | null>(null);
  const count = useRef(0);

  const log = (direction: Line['direction'], text: string, by = '') => {
    const line = {
      n: ++count.current,
      at: new Date().toISOString().slice(11, 23),
      direction,
      door: by,
      text,
    };
    setLines((before) => [line, ...before].slice(0, kept));
  };
  useEffect(() => () => bell.current?.close(), []);

  function connect() {
    const before = bell.current;
    before?.close();
    const next = new Pgbell({
      token,
      ...(before?.cursor && { cursor: before.cursor }),
      ...(door !== 'all' && { doors: [door] }),
      trace: {
        frame: (direction, text, by) => log(direction, text.replace(/"token":"[^"]*"/, '"token":"…"'), by),
        phase: (from, to) => log('note', `${from} → ${to}`),
      },
    });
    next.on('state', setState);
    next.on('error', (e) => {
      log('note', `${e.code} (${e.strategy}): ${e.message}`);
      setStats(next.stats());
    });
    next.on('update', (u) => setLatency(Date.now() - Date.parse(u.at)));
    bell.current = next;
    next.connect();
  }
  const rooms = async (what: 'join' | 'leave') => {
    try {
      await bell.current?.[what](room);
      log('note', `${what} ${room}: done`);
    } catch (error) {
      log('note', `${what} ${room}: ${(error as Error).message}`);
    }
  };
  const shown = lines.filter((l) => !filter || `${l.direction} ${l.door} ${l.text}`.includes(filter));
  const connected = !!state && state.status !== 'idle';

  return (
    <Stack>
      <Group justify="space-between">
        <Title order={1} size="h3">
          Test panel
        </Title>
        {state && <StatusBadge state={state} />}
      </Group>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Card withBorder component="section" aria-label="Connection">
          <Stack gap="sm">
            {people && (
              <Select
                label="Somebody of the demo"
                placeholder="Choose, and their token is filled in"
                data={people.map((p) => ({ value: p.token, label: `${p.name} (${p.role.toLowerCase()})` }))}
                onChange={(value) => value && setToken(value)}
              />
            )}
            <Textarea
              label="Token"
              value={token}
              onChange={(e) => setToken(e.currentTarget.value)}
              autosize
              minRows={2}
              maxRows={4}
            />
            <Select
              label="Door"
              allowDeselect={false}
              value={door}
              onChange={(value) => setDoor((value ?? 'all') as DoorName | 'all')}
              data={[
                { value: 'all', label: 'the best that opens' },
                { value: 'websocket', label: 'WebSocket' },
                { value: 'sse', label: 'server-sent events' },
                { value: 'poll', label: 'polling' },
              ]}
            />
            <Group>
              <Button onClick={connect} disabled={!token}>
                Connect
              </Button>
              <Button variant="default" disabled={!connected} onClick={() => bell.current?.reconnect()}>
                Cut and resume
              </Button>
              <Button variant="default" disabled={!connected} onClick={() => bell.current?.close()}>
                Close
              </Button>
            </Group>
            <Group align="end">
              <TextInput
                label="Room"
                placeholder="booking:2"
                value={room}
                onChange={(e) => setRoom(e.currentTarget.value)}
              />
              <Button variant="default" disabled={!connected || !room} onClick={() => void rooms('join')}>
                Join
              </Button>
              <Button variant="default" disabled={!connected || !room} onClick={() => void rooms('leave')}>
                Leave
              </Button>
            </Group>
          </Stack>
        </Card>
        <Card withBorder component="section" aria-label="Numbers">
          <Table variant="vertical" withRowBorders={false}>
            <Table.Tbody>
              {(
                [
                  ['User', state?.userId],
                  ['Roles', state?.roles.join(', ')],
                  ['Door', state?.door],
                  ['Failures in a row', state?.failures],
                  ['Last event, from the row to here', latency === null ? undefined : `${latency} ms`],
                  ['Errors', stats?.totalErrors],
                  ['in the last five minutes', stats?.recentErrors],
                  ['retryable', stats?.retryableErrors],
                  ['most common', stats?.mostCommonError],
                ] as const
              ).map(([name, value]) => (
                <Table.Tr key={name}>
                  <Table.Th>{name}</Table.Th>
                  <Table.Td>{value ?? '–'}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Card>
      </SimpleGrid>
      <Group align="end">
        <TextInput label="Filter" value={filter} onChange={(e) => setFilter(e.currentTarget.value)} />
        <Button variant="default" onClick={() => setLines([])}>
          Clear
        </Button>
        <Text size="sm">
          {shown.length} of {lines.length} lines
        </Text>
      </Group>
      <ScrollArea h={420} viewportProps={{ tabIndex: 0, role: 'log', 'aria-label': 'Frames' }}>
        {shown.map((l) => (
          <Code
            key={l.n}
            block
            mb={2}
            p={4}
            fz="xs"
            style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}
          >
            {l.at} {l.direction} {l.door} {l.text}
          </Code>
        ))}
      </ScrollArea>
    </Stack>
  );
}
