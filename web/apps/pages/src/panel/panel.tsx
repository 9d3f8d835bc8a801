import { Alert, Badge, Group, SimpleGrid, Stack, Table, Text, Title } from '@mantine/core';
import type { ErrorStats } from '@pgbell/client';
import { useEffect, useRef, useState } from 'react';
import { StatusBadge } from '../badge';
import { count, duration } from '../format';
import { usePeople } from '../people';
import { Connection, Publish, Rooms, Write } from './controls';
import { Identity } from './identity';
import { type Link, type LinkState, open, type Way, wordsOf } from './link';
import { Delays, type Kind, Log, read, withoutSecrets } from './log';
import { LogView } from './log-view';

const idle: LinkState = { status: 'idle', door: null, error: null, userId: null, roles: [] };

/** What came after a link was resumed. */
interface Replay {
  wrote: number;
  came: number;
}

/** Numbers of one link. */
interface Numbers {
  events: number;
  p50: number | null;
  p95: number | null;
}

const none: Numbers = { events: 0, p50: null, p95: null };

const same = (a: ErrorStats | null, b: ErrorStats | null): boolean =>
  a?.totalErrors === b?.totalErrors && a?.recentErrors === b?.recentErrors;

/** Connects by any door and shows every frame. */
export default function TestPanel() {
  const people = usePeople();
  const [token, setToken] = useState('');
  const [way, setWay] = useState<Way>('all');
  const [state, setState] = useState<LinkState>(idle);
  const [cut, setCut] = useState(false);
  const [rooms, setRooms] = useState<readonly string[]>([]);
  const [stats, setStats] = useState<ErrorStats | null>(null);
  const [numbers, setNumbers] = useState(none);
  const [replay, setReplay] = useState<Replay | null>(null);
  const [log] = useState(() => new Log());
  const link = useRef<Link | null>(null);
  const resumed = useRef<{ wrote: number; came: number; until: number }>({ wrote: 0, came: 0, until: 0 });
  const delays = useRef(new Delays());

  useEffect(() => () => link.current?.close(), []);
  // Numbers are looked at, not told: no event draws the page anew.
  useEffect(() => {
    const timer = setInterval(() => {
      const d = delays.current;
      const next = { events: d.count, p50: d.quantile(0.5), p95: d.quantile(0.95) };
      setNumbers((before) => (before.events === next.events ? before : next));
      const errors = link.current?.stats() ?? null;
      setStats((before) => (same(before, errors) ? before : errors));
      const { wrote, came } = resumed.current;
      setReplay((before) => (before && before.came !== came ? { wrote, came } : before));
    }, 250);
    return () => clearInterval(timer);
  }, []);

  const note = (kind: Kind, text: string) =>
    log.add({ at: Date.now(), kind, door: '', event: '', text, replayed: false });

  async function connect() {
    link.current?.close();
    link.current = null;
    setCut(false);
    setRooms([]);
    setStats(null);
    setReplay(null);
    delays.current = new Delays();
    resumed.current = { wrote: 0, came: 0, until: 0 };
    setState({ ...idle, status: 'connecting' });
    try {
      link.current = await open(way, token, {
        state: setState,
        note,
        frame: (direction, text, door) => {
          const at = Date.now();
          const { event, data } = read(text);
          const written = typeof data?.at === 'string' ? Date.parse(data.at) : Number.NaN;
          const replayed = direction === 'in' && written < resumed.current.until;
          log.add({ at, kind: direction, door, event, text: withoutSecrets(text), replayed });
        },
        update: ({ at }) => {
          const written = Date.parse(at);
          if (written < resumed.current.until) resumed.current.came++;
          else delays.current.add(Math.max(0, Date.now() - written));
        },
      });
    } catch (error) {
      setState(idle);
      note('error', wordsOf(error));
    }
  }

  function cutLink() {
    link.current?.cut();
    setCut(true);
    setReplay(null);
    resumed.current = { wrote: 0, came: 0, until: 0 };
    note('note', 'The link is cut. What is written now is missed, and comes with the cursor.');
  }

  function resume() {
    resumed.current = { ...resumed.current, came: 0, until: Date.now() };
    setCut(false);
    setReplay({ wrote: resumed.current.wrote, came: 0 });
    note('note', 'Resuming with the cursor.');
    link.current?.resume();
  }

  async function enter(what: 'join' | 'leave', room: string) {
    try {
      await link.current?.[what](room);
      note('note', `${what} ${room}: acknowledged`);
      setRooms((before) => [...before.filter((r) => r !== room), ...(what === 'join' ? [room] : [])]);
    } catch (error) {
      note('error', `${what} ${room}: ${wordsOf(error)}`);
      throw error;
    }
  }

  const connected = state.status === 'live' || state.status === 'polling';
  const open_ = state.status !== 'idle' || cut;
  return (
    <Stack gap="md">
      <Group justify="space-between" align="start" wrap="nowrap">
        <div>
          <Title order={1} size="h2">
            Test panel
          </Title>
          <Text size="sm" c="dimmed">
            One connection by any door, with every frame that comes and goes.
          </Text>
        </div>
        <StatusBadge state={{ ...state, door: null }} />
      </Group>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <Identity people={people} token={token} setToken={setToken} />
        <Connection
          way={way}
          setWay={setWay}
          ready={token !== ''}
          open={open_}
          connected={connected}
          cut={cut}
          connect={() => void connect()}
          cutLink={cutLink}
          resume={resume}
          close={() => {
            link.current?.close();
            link.current = null;
            setCut(false);
            setState(idle);
          }}
        >
          {replay && (
            <Alert color="teal" variant="light" role="status" p="xs">
              {count(replay.came, 'change')} written while the link was cut came on resuming
              {replay.wrote > 0 && `; this page wrote ${count(replay.wrote, 'row')}`}.
            </Alert>
          )}
        </Connection>
        <Stack gap="md">
          <Rooms
            able={connected && /^(websocket|socket\.io)/.test(state.door ?? '')}
            rooms={rooms}
            enter={enter}
          />
          {people && (
            <Write
              people={people}
              user={state.userId}
              wrote={(what) => {
                note('note', what);
                if (cut) resumed.current.wrote++;
              }}
            />
          )}
        </Stack>
        <Publish token={token} demo={!!people} user={state.userId} note={note} />
      </SimpleGrid>
      <Facts state={state} numbers={numbers} stats={stats} />
      <section aria-label="Log">
        <LogView log={log} />
      </section>
    </Stack>
  );
}

function Facts({ state, numbers, stats }: { state: LinkState; numbers: Numbers; stats: ErrorStats | null }) {
  const ms = (n: number | null) => (n === null ? '–' : duration(n));
  const facts: [string, string][] = [
    [
      'User',
      state.userId ? `${state.userId}${state.roles.length ? ` (${state.roles.join(', ')})` : ''}` : '–',
    ],
    ['Door', state.door ?? '–'],
    ['Events', String(numbers.events)],
    ['Row to page', `${ms(numbers.p50)} p50, ${ms(numbers.p95)} p95`],
    ['Errors', `${stats?.totalErrors ?? 0}, ${stats?.retryableErrors ?? 0} retryable`],
    ['In five minutes', String(stats?.recentErrors ?? 0)],
  ];
  return (
    <section className="card" aria-label="Numbers">
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} p="md" spacing="md">
        {facts.map(([name, value]) => (
          <div key={name}>
            <Text size="xs" c="dimmed">
              {name}
            </Text>
            <Text size="sm" fw={600} className="wrap">
              {value}
            </Text>
          </div>
        ))}
      </SimpleGrid>
      {stats && stats.totalErrors > 0 && (
        <Table variant="vertical" withRowBorders={false} px="md" pb="md" aria-label="Errors by code">
          <Table.Tbody>
            {Object.entries(stats.byCode)
              .sort(([, a], [, b]) => b - a)
              .map(([code, n]) => (
                <Table.Tr key={code}>
                  <Table.Th>
                    {code}{' '}
                    {code === stats.mostCommonError && (
                      <Badge size="xs" variant="light" color="gray" tt="none">
                        most common
                      </Badge>
                    )}
                  </Table.Th>
                  <Table.Td>{n}</Table.Td>
                </Table.Tr>
              ))}
          </Table.Tbody>
        </Table>
      )}
    </section>
  );
}
