import {
  ActionIcon,
  Button,
  Center,
  Group,
  Indicator,
  Popover,
  ScrollArea,
  Stack,
  Text,
} from '@mantine/core';
import type { Notification, PgbellError } from '@pgbell/client';
import { useNotifications } from '@pgbell/react';
import { moment } from '../format';
import { BellIcon } from '../icons';
import { toast } from '../toasts';

const hues: Record<string, string> = { success: 'teal', warning: 'yellow', error: 'red' };

/** A bell with the number of unread notifications, and the list behind it. */
export function NotificationPanel() {
  const { notifications, unread, more, loading, error, markRead, markAllRead, loadMore } = useNotifications();
  const attempt = (what: Promise<void>) =>
    what.catch((e: PgbellError) =>
      toast(e.code === 'network' ? 'The server cannot be reached.' : e.message, { failed: true }),
    );
  return (
    <Popover width={340} withRoles position="bottom-end" shadow="md" trapFocus returnFocus>
      <Indicator label={unread > 99 ? '99+' : unread} disabled={!unread} size={18} color="red.9" offset={4}>
        <Popover.Target>
          <ActionIcon variant="default" size="lg" aria-label={`Notifications, ${unread} unread`}>
            <BellIcon />
          </ActionIcon>
        </Popover.Target>
      </Indicator>
      <Popover.Dropdown p={0} aria-label="Notifications">
        <Group justify="space-between" px="md" py="xs" style={{ borderBottom: '1px solid var(--line)' }}>
          <Text fw={600}>Notifications</Text>
          <Button
            size="compact-sm"
            variant="default"
            disabled={!unread}
            onClick={() => void attempt(markAllRead())}
          >
            Mark all as read
          </Button>
        </Group>
        <ScrollArea.Autosize mah={340} aria-live="polite">
          {notifications.length > 0 ? (
            <ul className="rows">
              {notifications.map((n) => (
                <Item key={n.id} of={n} read={() => void attempt(markRead([n.id]))} />
              ))}
            </ul>
          ) : (
            <Center h={120} px="md">
              <Text size="sm" c="dimmed" ta="center">
                {loading
                  ? 'Loading'
                  : error
                    ? 'Notifications are not available on this server.'
                    : 'Nothing yet. You hear of what concerns you here.'}
              </Text>
            </Center>
          )}
          {more && (
            <Center p="xs">
              <Button size="compact-sm" variant="default" onClick={() => void attempt(loadMore())}>
                Older ones
              </Button>
            </Center>
          )}
        </ScrollArea.Autosize>
      </Popover.Dropdown>
    </Popover>
  );
}

function Item({ of: n, read }: { of: Notification; read: () => void }) {
  return (
    <li className="note-row">
      <Group gap="sm" wrap="nowrap" align="start">
        <span
          className="dot"
          style={{
            marginTop: 6,
            flex: 'none',
            visibility: n.readAt ? 'hidden' : undefined,
            color: `var(--mantine-color-${hues[n.level] ?? 'blue'}-filled)`,
          }}
        />
        <Stack gap={0} miw={0}>
          <Text size="sm" fw={n.readAt ? 400 : 650}>
            {n.title}
          </Text>
          <Text size="sm" className="wrap">
            {n.message}
          </Text>
          <Text size="xs" c="dimmed">
            {moment(n.createdAt)}
          </Text>
        </Stack>
      </Group>
      {!n.readAt && (
        <Button size="compact-sm" variant="default" aria-label={`Mark as read: ${n.title}`} onClick={read}>
          Read
        </Button>
      )}
    </li>
  );
}
