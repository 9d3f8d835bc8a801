import { Button, Group, MultiSelect, Select, Stack, Tabs, Text, Textarea, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { clock, moment } from '../format';
import { mint, type Person } from '../people';
import { toast } from '../toasts';
import { Box } from './box';
import { claims } from './claims';

const lives = [
  { value: '30', label: '30 seconds' },
  { value: '300', label: '5 minutes' },
  { value: '3600', label: 'an hour' },
  { value: '86400', label: 'a day' },
];
const roles = ['CLIENT', 'PROVIDER', 'ADMIN', 'SERVICE'];

interface IdentityProps {
  people: Person[] | null | undefined;
  token: string;
  setToken: (token: string) => void;
}

/** Whose token: one of the demo's, one of one's own making, or one that is pasted. */
export function Identity({ people, token, setToken }: IdentityProps) {
  const paste = (
    <Textarea
      label="Token"
      description="A JWT. It stays in this page, and goes to this server alone."
      placeholder="eyJ…"
      value={token}
      onChange={(e) => setToken(e.currentTarget.value.trim())}
      rows={3}
      spellCheck={false}
      autoComplete="off"
      styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 12 } }}
    />
  );
  return (
    <Box title="Who">
      {people ? (
        <Tabs defaultValue="person">
          <Tabs.List mb="sm">
            <Tabs.Tab value="person">Somebody</Tabs.Tab>
            <Tabs.Tab value="mint">Sign a token</Tabs.Tab>
            <Tabs.Tab value="paste">Paste</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="person">
            <Select
              label="Somebody of the demo"
              description="Their token is filled in."
              placeholder="Choose"
              data={people.map((p) => ({ value: p.token, label: `${p.name} (${p.role.toLowerCase()})` }))}
              value={people.some((p) => p.token === token) ? token : null}
              onChange={(value) => value && setToken(value)}
            />
            <Claims token={token} />
          </Tabs.Panel>
          <Tabs.Panel value="mint">
            <Mint setToken={setToken} />
            <Claims token={token} />
          </Tabs.Panel>
          <Tabs.Panel value="paste">{paste}</Tabs.Panel>
        </Tabs>
      ) : (
        <Stack gap="xs">
          {paste}
          <Claims token={token} />
        </Stack>
      )}
    </Box>
  );
}

function Mint({ setToken }: { setToken: (token: string) => void }) {
  const [user, setUser] = useState('anna');
  const [has, setHas] = useState(['CLIENT']);
  const [life, setLife] = useState('3600');
  const [signing, setSigning] = useState(false);
  async function sign(event: FormEvent) {
    event.preventDefault();
    setSigning(true);
    try {
      setToken(await mint(user, has, Number(life)));
    } catch (error) {
      toast((error as Error).message, { failed: true });
    } finally {
      setSigning(false);
    }
  }
  return (
    <form onSubmit={(e) => void sign(e)}>
      <Stack gap="xs">
        <Group grow align="end">
          <TextInput label="User" value={user} onChange={(e) => setUser(e.currentTarget.value)} required />
          <Select
            label="Good for"
            data={lives}
            value={life}
            onChange={(v) => v && setLife(v)}
            allowDeselect={false}
          />
        </Group>
        <MultiSelect label="Roles" data={roles} value={has} onChange={setHas} />
        <Group>
          <Button type="submit" variant="default" loading={signing}>
            Sign
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** A time of these hours, or of another day. */
const when = (at: number): string => (at - Date.now() < 12 * 3_600_000 ? clock(at) : moment(at));

/** What a token says, as far as anybody can read it. */
function Claims({ token }: { token: string }) {
  if (!token) return null;
  const { user, roles: has, until } = claims(token) ?? {};
  const text = user
    ? `${user} ${has?.join(', ')}${until ? `, until ${when(until)}` : ''}`
    : 'This is no JWT.';
  return (
    <Text size="xs" c="dimmed" mt={6} className="wrap">
      {text}
    </Text>
  );
}
