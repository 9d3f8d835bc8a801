import { Alert, Button, Center, Group, Paper, PasswordInput, Stack, Tabs, Text, Title } from '@mantine/core';
import { Pgbell, type PgbellError } from '@pgbell/client';
import { type FormEvent, useEffect, useMemo, useState } from 'react';
import { Waiting } from '../app';
import { StatusBadge } from '../badge';
import { ago } from '../format';
import { isDemo, mint, usePeople } from '../people';
import type { Stats } from './answers';
import { Clients } from './clients';
import { ErrorsView } from './errors';
import { merge } from './history';
import { Overview } from './overview';
import { AskProvider, usePolled } from './poll';
import { TablesView } from './tables';
import { WhyView } from './why';

/** Where the token is while the tab is open; never in the URL. */
const place = 'pgbell:console';

/** For operators and DBAs: how the server fares, as an admin sees it. */
export default function Console() {
  const people = usePeople();
  const admin = people?.find((p) => p.role === 'ADMIN');
  const [token, setToken] = useState<string | null>(() => sessionStorage.getItem(place));
  const [refused, setRefused] = useState<string | null>(null);
  const demo = !token && !refused ? admin : undefined;
  const bell = useMemo(() => {
    if (token) return new Pgbell({ token });
    return demo && new Pgbell({ token: () => mint(demo.id, ['ADMIN']) });
  }, [token, demo]);

  const signIn = (given: string) => {
    sessionStorage.setItem(place, given);
    setRefused(null);
    setToken(given);
  };
  const signOut = (reason: string) => {
    sessionStorage.removeItem(place);
    setToken(null);
    setRefused(reason);
  };
  if (isDemo && people === undefined) return <Waiting />;
  if (!bell) return <SignIn signIn={signIn} refused={refused} again={admin && (() => setRefused(null))} />;
  return (
    <AskProvider value={bell as Pgbell}>
      <Node signOut={signOut} own={!!token} />
    </AskProvider>
  );
}

interface SignInProps {
  signIn: (token: string) => void;
  refused: string | null;
  again: (() => void) | undefined;
}

function SignIn({ signIn, refused, again }: SignInProps) {
  const [token, setToken] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (token.trim()) signIn(token.trim());
  };
  return (
    <Center mih={420}>
      <Paper withBorder radius="lg" p="lg" w="100%" maw={440}>
        <form onSubmit={submit}>
          <Stack gap="md">
            <div>
              <Title order={1} size="h3">
                Console
              </Title>
              <Text size="sm" c="dimmed">
                For tokens with a role that <code>api.admin_roles</code> names.
              </Text>
            </div>
            {refused && (
              <Alert color="red" p="xs" title="Not let in">
                {refused}
              </Alert>
            )}
            <PasswordInput
              label="Token"
              description="Kept in this tab until you sign out or close it."
              placeholder="eyJ…"
              value={token}
              onChange={(e) => setToken(e.currentTarget.value)}
              autoComplete="off"
              required
            />
            <Group justify="space-between">
              <Text size="xs" c="dimmed" className="wrap">
                For a try: <code>pgbell token --sub me --role ADMIN</code>
              </Text>
              <Group gap="xs">
                {again && (
                  <Button variant="default" onClick={again}>
                    As the demo’s admin
                  </Button>
                )}
                <Button type="submit">Open</Button>
              </Group>
            </Group>
          </Stack>
        </form>
      </Paper>
    </Center>
  );
}

const tabs = ['tables', 'clients', 'errors', 'why'] as const;

function Node({ signOut, own }: { signOut: (reason: string) => void; own: boolean }) {
  const { data: stats, error } = usePolled<Stats>(
    (before) => {
      const last = before?.recent.samples.at(-1);
      return `api/console/stats${last ? `?after=${last.at}` : ''}`;
    },
    2000,
    (before, answer) => ({
      ...answer,
      recent: {
        ...answer.recent,
        samples: [...merge(before?.recent.samples ?? [], answer.recent.samples)],
      },
    }),
  );
  const out = error && unwelcome(error);
  useEffect(() => {
    if (out) signOut(out);
  }, [out, signOut]);
  const [tab, setTab] = useState(() => {
    const asked = location.hash.slice(1);
    return tabs.find((t) => t === asked) ?? tabs[0];
  });
  const choose = (value: string | null) => {
    const next = tabs.find((t) => t === value) ?? tabs[0];
    setTab(next);
    history.replaceState(null, '', `#${next}`);
  };

  return (
    <Stack gap="md">
      <Group justify="space-between" align="start" wrap="nowrap">
        <div>
          <Title order={1} size="h2">
            Console
          </Title>
          <Text size="sm" c="dimmed">
            {stats ? `pgbell ${stats.version}, up ${ago(stats.uptimeSeconds * 1000)}` : 'This node'}
          </Text>
        </div>
        <Group gap="sm" wrap="nowrap">
          <StatusBadge
            state={{
              status: error ? 'offline' : !stats ? 'connecting' : stats.live ? 'live' : 'offline',
              door: null,
              error,
            }}
          />
          {own && (
            <Button size="compact-sm" variant="default" onClick={() => signOut('You have signed out.')}>
              Sign out
            </Button>
          )}
        </Group>
      </Group>
      {stats && !stats.live && !error && (
        <Alert color="red" title="The stream is not live">
          This node has lost its connection to Postgres. Clients are told, and nothing is lost: the log keeps
          the events.
        </Alert>
      )}
      <Overview stats={stats} />
      <section className="card" aria-label="Details">
        <Tabs value={tab} onChange={choose} keepMounted={false}>
          <Tabs.List px="xs">
            <Tabs.Tab value="tables">Tables</Tabs.Tab>
            <Tabs.Tab value="clients">Clients</Tabs.Tab>
            <Tabs.Tab value="errors">Errors</Tabs.Tab>
            <Tabs.Tab value="why">Why</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="tables" p="md">
            <TablesView />
          </Tabs.Panel>
          <Tabs.Panel value="clients" p="md">
            <Clients stats={stats} />
          </Tabs.Panel>
          <Tabs.Panel value="errors" p="md">
            <ErrorsView />
          </Tabs.Panel>
          <Tabs.Panel value="why" p="md">
            <WhyView />
          </Tabs.Panel>
        </Tabs>
      </section>
    </Stack>
  );
}

/** Why somebody may not be here, if that is what an error says. */
function unwelcome(error: PgbellError): string | null {
  if (error.code === 'forbidden') return 'The token has none of the roles that api.admin_roles names.';
  return error.strategy === 'refresh' || error.code === 'token_revoked' ? error.message : null;
}
