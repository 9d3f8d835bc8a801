import {
  Alert,
  Autocomplete,
  Badge,
  Button,
  Group,
  SimpleGrid,
  Stack,
  Switch,
  TagsInput,
  Text,
  TextInput,
} from '@mantine/core';
import { PgbellError } from '@pgbell/client';
import { type FormEvent, useEffect, useState } from 'react';
import { moment } from '../format';
import { CheckIcon, CrossIcon, DashIcon } from '../icons';
import type { Tables, Why } from './answers';
import { Grid, Section } from './parts';
import { useAsk, usePolled } from './poll';

/** How often the question is asked again by itself. */
const again = 3000;

/** Who receives a row's events, and why not. */
export function WhyView() {
  const bell = useAsk();
  const tables = usePolled<Tables>('api/console/tables', 60_000);
  const names = (tables.data?.tables ?? []).filter((t) => t.type).map((t) => t.table);
  const [user, setUser] = useState('');
  const [table, setTable] = useState('');
  const [key, setKey] = useState('');
  const [roles, setRoles] = useState<string[]>([]);
  const [live, setLive] = useState(true);
  const [question, setQuestion] = useState<string | null>(null);
  const [asked, setAsked] = useState(0);
  const [answer, setAnswer] = useState<Why | null>(null);
  const [error, setError] = useState<PgbellError | null>(null);

  function ask(event: FormEvent) {
    event.preventDefault();
    const query = new URLSearchParams({ user: user.trim(), table: table.trim() });
    for (const part of key.trim().startsWith('{') ? [key] : key.trim().split(/\s+/))
      query.append('key', part);
    for (const role of roles) query.append('role', role);
    setAnswer(null);
    setQuestion(`api/console/why?${query}`);
    setAsked((n) => n + 1);
  }

  // biome-ignore lint/correctness/useExhaustiveDependencies: asked is for the same question again
  useEffect(() => {
    if (!question) return;
    let over = false;
    let timer: ReturnType<typeof setTimeout>;
    const look = async () => {
      let next = true;
      try {
        const found = await bell.request<Why>(question);
        if (over) return;
        setAnswer(found);
        setError(null);
      } catch (e) {
        if (over) return;
        const failure = e instanceof PgbellError ? e : new PgbellError('bad_answer', String(e));
        next = failure.retryable;
        setError(failure);
      }
      if (live && next) timer = setTimeout(look, again);
    };
    void look();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [bell, question, live, asked]);

  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
      <form onSubmit={ask}>
        <Stack gap="sm">
          <Group grow align="start">
            <TextInput
              label="User"
              placeholder="anna"
              value={user}
              onChange={(e) => setUser(e.currentTarget.value)}
              required
            />
            <TagsInput
              label="Roles"
              placeholder={roles.length ? '' : 'none'}
              value={roles}
              onChange={setRoles}
              data={['ADMIN']}
            />
          </Group>
          <Group grow align="start">
            <Autocomplete
              label="Table"
              placeholder="public.bookings"
              data={names}
              value={table}
              onChange={setTable}
              required
            />
            <TextInput
              label="Key"
              placeholder="42, or a=1 b=2"
              value={key}
              onChange={(e) => setKey(e.currentTarget.value)}
              required
            />
          </Group>
          <Group justify="space-between">
            <Switch
              label="Ask again every 3 s"
              checked={live}
              onChange={(e) => setLive(e.currentTarget.checked)}
            />
            <Button type="submit">Why?</Button>
          </Group>
          <Text size="xs" c="dimmed">
            Would this user, with a token of these roles, receive the row’s events? The same as{' '}
            <code>pgbell why</code>.
          </Text>
        </Stack>
      </form>
      <Stack gap="md" aria-live="polite" miw={0} mih={220}>
        {error && (
          <Alert
            color="red"
            p="xs"
            title={error.retryable ? 'There is no answer now' : 'The question has no answer'}
          >
            {error.message}
          </Alert>
        )}
        {answer && <Answer of={answer} />}
        {!answer && !error && (
          <Text size="sm" c="dimmed" ta="center" pt="xl">
            {question ? 'Asking' : 'The rules appear here, each with its verdict.'}
          </Text>
        )}
      </Stack>
    </SimpleGrid>
  );
}

const looks = {
  yes: { color: 'teal', icon: <CheckIcon size={14} /> },
  no: { color: 'red', icon: <CrossIcon size={14} /> },
  note: { color: 'gray', icon: <DashIcon size={14} /> },
};

function Answer({ of: a }: { of: Why }) {
  const key = Object.entries(a.key ?? {})
    .map(([c, v]) => `${c}=${v}`)
    .join(' ');
  return (
    <>
      <Alert color={a.receives ? 'teal' : 'red'} p="xs" title={a.receives ? 'Receives' : 'Does not receive'}>
        <Text size="sm" className="wrap">
          {a.user} {a.receives ? 'receives' : 'does not receive'} the events of {a.table} {key}
          {a.receives && a.as?.length ? `, as ${a.as.join(', ')}` : ''}.
        </Text>
      </Alert>
      <Stack component="ul" gap={6} p={0} m={0} style={{ listStyle: 'none' }} aria-label="Rules">
        {a.rules.map((r) => (
          <Group key={`${r.rule} ${r.text}`} component="li" gap="sm" wrap="nowrap" align="start">
            <Badge
              color={looks[r.verdict].color}
              variant="light"
              size="sm"
              tt="none"
              w={64}
              leftSection={looks[r.verdict].icon}
              flex="none"
              c="var(--mantine-color-text)"
            >
              {r.verdict}
            </Badge>
            <Text size="sm" fw={600} w={76} flex="none">
              {r.rule}
            </Text>
            <Text size="sm" className="wrap">
              {r.text}
            </Text>
          </Group>
        ))}
      </Stack>
      <Section title="The row’s last events">
        <Grid
          label="The row’s last events"
          rows={a.events ?? []}
          id={(e) => String(e.id)}
          empty="The newest 100,000 events of the log have none of this row."
          columns={[
            { name: 'At', value: (e) => moment(e.at) },
            { name: 'Event', value: (e) => `${e.op} ${e.action ?? e.reason ?? ''}` },
            { name: 'To the user', value: (e) => (e.to_user ? 'yes' : 'no'), right: true },
          ]}
        />
      </Section>
    </>
  );
}
