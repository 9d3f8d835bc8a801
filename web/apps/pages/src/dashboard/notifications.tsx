import { ActionIcon, Button, Group, Indicator, Popover, ScrollArea, Stack, Text } from '@mantine/core';
import { useNotifications } from '@pgbell/react';
import { moment } from '../rows';

/** A bell with the number of unread notifications, and the list behind it. */
export function NotificationPanel() {
  const { notifications, unread, more, loading, error, markRead, markAllRead, loadMore } = useNotifications();
  return (
    <Popover width={340} withRoles position="bottom-end" shadow="md" trapFocus returnFocus>
      <Indicator label={unread > 99 ? '99+' : unread} disabled={!unread} size={18} color="red.9">
        <Popover.Target>
          <ActionIcon variant="default" size="lg" aria-label={`Notifications, ${unread} unread`}>
            <svg width="18" height="18" viewBox="0 0 24 24" aria-hidden="true">
              <path
                fill="currentColor"
                d="M12 2a6 6 0 0 0-6 6v5l-2 3v1h16v-1l-2-3V8a6 6 0 0 0-6-6zm-3 16a3 3 0 0 0 6 0z"
              />
            </svg>
          </ActionIcon>
        </Popover.Target>
      </Indicator>
      <Popover.Dropdown>
        <Group justify="space-between" mb="xs">
          <Text fw={600}>Notifications</Text>
          <Button size="compact-xs" variant="subtle" disabled={!unread} onClick={() => void markAllRead()}>
            Mark all as read
          </Button>
        </Group>
        <ScrollArea.Autosize mah={320}>
          <Stack gap="xs">
            {notifications.map((n) => (
              <Group key={n.id} justify="space-between" wrap="nowrap" align="start">
                <div>
                  <Text size="sm" fw={n.readAt ? 400 : 700}>
                    {n.title}
                  </Text>
                  <Text size="xs" c="dimmed">
                    {n.message} {moment(n.createdAt)}
                  </Text>
                </div>
                {!n.readAt && (
                  <Button size="compact-xs" variant="subtle" onClick={() => void markRead([n.id])}>
                    Read
                  </Button>
                )}
              </Group>
            ))}
            {notifications.length === 0 && (
              <Text size="sm" c="dimmed">
                {loading
                  ? 'Loading'
                  : error
                    ? 'Notifications are not available on this server.'
                    : 'Nothing yet'}
              </Text>
            )}
            {more && (
              <Button size="compact-sm" variant="default" onClick={() => void loadMore()}>
                Older ones
              </Button>
            )}
          </Stack>
        </ScrollArea.Autosize>
      </Popover.Dropdown>
    </Popover>
  );
}
