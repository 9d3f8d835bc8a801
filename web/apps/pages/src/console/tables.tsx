import { Alert, Badge, Code, Group, Progress, SimpleGrid, Stack, Text, Tooltip } from '@mantine/core';
import { ago, bytes, clock, duration, short } from '../format';
import type { LogPart, Tables } from './answers';
import { Answered, Grid, Section } from './parts';
import { usePolled } from './poll';

type Watched = Tables['tables'][number];

/** The watched tables, the event log, and who listens. */
export function TablesView() {
  const tables = usePolled<Tables>('api/console/tables', 5000);
  return <Answered of={tables}>{(t) => <Standing of={t} />}</Answered>;
}

function Standing({ of: t }: { of: Tables }) {
  const switches = t.switches;
  return (
    <Stack gap="lg">
      {switches.map((s) => (
        <Alert
          key={`${s.setting} ${s.scope}`}
          color={s.off ? 'red' : 'yellow'}
          p="xs"
          title={`${s.setting} is ${s.value} for ${s.scope}`}
        >
          <Text size="sm">{s.off ? 'These writes make no events.' : ''}</Text>
          <Code className="wrap">{s.undo}</Code>
        </Alert>
      ))}
      <Section title="Watched tables" aside={`as of ${clock(t.checked_at)}`}>
        <Grid
          label="Triggers of each table"
          rows={t.tables}
          id={(w) => w.table}
          empty="No table is watched."
          columns={[
            { name: 'Table', value: (w) => <b>{w.table}</b> },
            { name: 'Type', value: (w) => w.type ?? '–' },
            { name: 'Triggers', value: (w) => <Triggers of={w} /> },
            { name: 'Drift', value: (w) => <Drift of={w} unknown={t.unknown} /> },
            { name: 'Events a minute', value: (w) => short(w.events_per_minute), right: true },
            { name: 'Last event', value: (w) => since(w.last_event_at), right: true },
            {
              name: 'Mean call',
              value: (w) => (w.mean_ms === null ? '–' : duration(w.mean_ms)),
              right: true,
            },
          ]}
        />
      </Section>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        <Section
          title="Event log"
          aside={`${bytes(t.log.bytes)}, about ${short(Math.max(0, t.log.rows_estimate))} rows, oldest ${since(t.log.first_event_at ?? null)}`}
        >
          <Grid
            label="Parts of the event log"
            rows={t.partitions ?? []}
            id={(p) => p.name}
            empty="It has no parts."
            columns={[
              { name: 'Part', value: (p: LogPart) => p.name },
              { name: 'State', value: (p) => p.state },
              { name: 'Rows', value: (p) => `about ${short(Math.max(0, p.rows_estimate))}`, right: true },
              { name: 'Size', value: (p) => bytes(p.bytes), right: true },
            ]}
          />
        </Section>
        <Section title="Listeners">
          <Grid
            label="Connections that listen"
            rows={t.listeners ?? []}
            id={(l) => l.name}
            empty="Nobody listens to this database."
            columns={[
              { name: 'Connection', value: (l) => l.name },
              { name: 'State', value: (l) => l.state },
              {
                name: 'Last asked',
                value: (l) => (l.silent_ms === null ? 'not to be seen' : `${duration(l.silent_ms)} ago`),
                right: true,
              },
            ]}
          />
          <Group gap="sm" mt="xs" wrap="nowrap">
            <Text size="xs" c="dimmed" flex="none">
              NOTIFY queue
            </Text>
            <Progress
              value={t.notify_queue * 100}
              flex={1}
              color={t.notify_queue > 0.5 ? 'red' : 'teal'}
              aria-label="How full the NOTIFY queue is"
            />
            <Text size="xs" flex="none">
              {(t.notify_queue * 100).toFixed(1)} %
            </Text>
          </Group>
        </Section>
      </SimpleGrid>
    </Stack>
  );
}

const since = (at: string | null): string =>
  at ? `${ago(Math.max(0, Date.now() - Date.parse(at)))} ago` : '–';

function Triggers({ of: { triggers } }: { of: Watched }) {
  const good = triggers === 'enabled' || triggers === 'always';
  return (
    <Badge color={good ? 'teal' : 'red'} variant="dot" size="sm" tt="none">
      {triggers}
    </Badge>
  );
}

function Drift({ of: { drift, mistake, type }, unknown }: { of: Watched; unknown: string | undefined }) {
  if (mistake) return <Marked color="red" text="mistake" more={mistake} />;
  if (!type)
    return <Marked color="gray" text="not watched" more="Owners are found in it, or it is left over." />;
  if (!drift) return <Marked color="yellow" text="unknown" more={unknown ?? 'This role may not see it.'} />;
  if (drift.length === 0)
    return (
      <Badge color="teal" variant="dot" size="sm" tt="none">
        none
      </Badge>
    );
  return (
    <Marked
      color="red"
      text={String(drift.length)}
      more={`${drift.map((d) => `${d.object}: ${d.why}`).join('; ')}. Run pgbell triggers plan, then apply.`}
    />
  );
}

function Marked({ color, text, more }: { color: string; text: string; more: string }) {
  return (
    <Tooltip label={more} multiline maw={360} events={{ hover: true, focus: true, touch: true }}>
      <Badge color={color} variant="dot" size="sm" tt="none" tabIndex={0}>
        {text}
      </Badge>
    </Tooltip>
  );
}
