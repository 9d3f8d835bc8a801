import { Group, SimpleGrid, Skeleton, Stack, Text, Tooltip } from '@mantine/core';
import { type ReactNode, useMemo } from 'react';
import { Chart, delays, type Hue, type Series } from '../chart/chart';
import { bytes, count, duration, short } from '../format';
import { doorName, type Stats } from './answers';
import { Columns } from './history';

const hues: Record<string, Hue> = { websocket: 'teal', socketio: 'grape', sse: 'blue', poll: 'orange' };

const states: Record<string, { name: string; hue: string; means: string }> = {
  asleep: { name: 'Asleep', hue: 'teal', means: 'The node waits for the bell: events come at once.' },
  settling: { name: 'Settling', hue: 'blue', means: 'The node is about to wait for the bell again.' },
  rounds: {
    name: 'On rounds',
    hue: 'yellow',
    means: 'There is much to read: the node reads the log by itself, and no bell rings.',
  },
  disconnected: { name: 'Disconnected', hue: 'red', means: 'The node has no connection to Postgres.' },
};

const percent = (share: number) => `${share.toFixed(0)} %`;

/** Numbers and charts of the last ten minutes. */
export function Overview({ stats }: { stats: Stats | undefined }) {
  const recent = stats?.recent;
  const columns = useMemo(
    () => new Columns(recent?.samples ?? [], recent?.everyMs ?? 2000),
    [recent?.samples, recent?.everyMs],
  );
  const last = recent?.samples.at(-1);
  const total = Object.values(stats?.connections ?? {}).reduce((a, b) => a + b, 0);
  const state = states[recent?.state ?? ''];
  const doors = columns.doors();
  const per = (n: number) => `${short(n)}/s`;
  const charts = useMemo(() => series(columns, doors), [columns, doors]);
  return (
    <Stack gap="md" data-samples={columns.x.length}>
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="md">
        <Tile name="Connections" value={stats && short(total)}>
          {count(stats?.users ?? 0, 'user')}, {count(stats?.rooms ?? 0, 'room')}
        </Tile>
        <Tile name="Events" value={last && per(last.events)}>
          {last ? `${per(last.delivered)} to clients` : ''}
        </Tile>
        <Tile name="Latency, p50" value={recent && (recent.lag.count ? duration(recent.lag.p50) : '–')}>
          {recent?.lag.count
            ? `p95 ${duration(recent.lag.p95)}, p99 ${duration(recent.lag.p99)}`
            : 'nothing in the last minute'}
        </Tile>
        <Tile
          name="Bell"
          value={
            state && (
              <Tooltip
                label={state.means}
                multiline
                maw={280}
                events={{ hover: true, focus: true, touch: true }}
              >
                <Group
                  gap={8}
                  wrap="nowrap"
                  component="span"
                  display="inline-flex"
                  h={32}
                  style={{ verticalAlign: 'top' }}
                  tabIndex={0}
                >
                  <span className="dot" style={{ color: `var(--mantine-color-${state.hue}-6)` }} />
                  {state.name}
                </Group>
              </Tooltip>
            )
          }
        >
          {last ? `${short(last.bells)} bells, ${short(last.reads)} reads/s` : ''}
        </Tile>
        <Tile name="Behind the log" value={last && duration(last.behind)}>
          {stats ? `${bytes(stats.window.bytes)} in memory` : ''}
        </Tile>
        <Tile name="Errors told" value={last && per(last.errors)}>
          {stats ? count(stats.slow.length, 'slow client') : ''}
        </Tile>
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md">
        <Frame title="Connections by door">
          <Chart
            label={`Connections by door: ${doors.map((d) => `${stats?.connections[d] ?? 0} ${doorName(d)}`).join(', ') || 'none'}`}
            x={columns.x}
            time
            stacked
            steps
            least={4}
            series={charts.doors}
            format={short}
          />
        </Frame>
        <Frame title="Events a second">
          <Chart
            label={`Events a second, now ${short(last?.events ?? 0)}`}
            x={columns.x}
            time
            least={1}
            series={charts.events}
            format={short}
          />
        </Frame>
        <Frame title="Latency, from the row to this node">
          <Chart
            label={`Latency: p50 ${duration(recent?.lag.p50 ?? 0)}, p99 ${duration(recent?.lag.p99 ?? 0)} in the last minute`}
            x={columns.x}
            time
            least={2}
            series={charts.latency}
            format={delays}
          />
        </Frame>
        <Frame title="Behind the log">
          <Chart
            label={`${duration(last?.behind ?? 0)} behind the log at worst in the last seconds`}
            x={columns.x}
            time
            least={10}
            series={charts.behind}
            format={delays}
          />
        </Frame>
        <Frame title="Bell: time on rounds">
          <Chart
            label={`The listener is ${state?.name.toLowerCase() ?? 'unknown'}; ${percent(100 * (last?.rounds ?? 0))} of the last seconds on rounds`}
            x={columns.x}
            time
            steps
            top={100}
            series={charts.bell}
            format={percent}
          />
        </Frame>
        <Frame title="Errors a second">
          <Chart
            label={`Errors that clients were told a second, now ${short(last?.errors ?? 0)}`}
            x={columns.x}
            time
            least={1}
            series={charts.errors}
            format={short}
          />
        </Frame>
      </SimpleGrid>
    </Stack>
  );
}

function series(columns: Columns, doors: readonly string[]) {
  return {
    doors: doors.map(
      (door): Series => ({
        name: doorName(door),
        hue: hues[door] ?? 'gray',
        values: columns.of((s) => s.connections[door] ?? 0),
        fill: true,
      }),
    ),
    events: [
      { name: 'From the log', hue: 'teal', values: columns.of((s) => s.events), fill: true },
      { name: 'To clients', hue: 'blue', values: columns.of((s) => s.delivered) },
    ] satisfies Series[],
    latency: [
      { name: 'p50', hue: 'teal', values: columns.delay('lag', 'p50'), fill: true },
      { name: 'p95', hue: 'blue', values: columns.delay('lag', 'p95') },
      { name: 'p99', hue: 'grape', values: columns.delay('lag', 'p99'), dashed: true },
    ] satisfies Series[],
    behind: [
      { name: 'Behind at worst', hue: 'orange', values: columns.of((s) => s.behind), fill: true },
      { name: 'Fan-out, p99', hue: 'blue', values: columns.delay('fanOut', 'p99') },
    ] satisfies Series[],
    // Nothing while there is no connection: then there is no bell to speak of.
    bell: [
      {
        name: 'On rounds',
        hue: 'yellow',
        values: columns.of((s) => (s.state === 'disconnected' ? null : 100 * s.rounds)),
        fill: true,
      },
    ] satisfies Series[],
    errors: [
      { name: 'Told', hue: 'red', values: columns.of((s) => s.errors), fill: true },
    ] satisfies Series[],
  };
}

function Tile({ name, value, children }: { name: string; value: ReactNode; children: ReactNode }) {
  return (
    <Stack className="card" gap={2} p="md" miw={0}>
      <Text size="xs" c="dimmed">
        {name}
      </Text>
      {value == null ? (
        <Skeleton h={28} w={80} my={2} />
      ) : (
        <Text component="div" fz={24} lh="32px" fw={650} truncate>
          {value}
        </Text>
      )}
      <Text size="xs" c="dimmed" mih={18}>
        {children}
      </Text>
    </Stack>
  );
}

function Frame({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Stack className="card" component="section" aria-label={title} gap={6} p="md" miw={0}>
      <Text fw={600} size="sm">
        {title}
      </Text>
      {children}
    </Stack>
  );
}
