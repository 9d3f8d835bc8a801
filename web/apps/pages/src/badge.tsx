import { Badge, Tooltip } from '@mantine/core';
import type { State, Status } from '@pgbell/client';

const looks: Record<Status, { text: string; color: string }> = {
  idle: { text: 'Not connected', color: 'gray.7' },
  connecting: { text: 'Connecting', color: 'gray.7' },
  live: { text: 'Live', color: 'teal.9' },
  polling: { text: 'Polling', color: 'yellow.9' },
  offline: { text: 'Offline', color: 'red.9' },
  stopped: { text: 'Signed out', color: 'red.9' },
};
const ways = { websocket: 'by WebSocket', sse: 'by server-sent events', poll: 'by asking again and again' };

/** Says how true what one sees is. */
export function StatusBadge({ state }: { state: Pick<State, 'status' | 'door' | 'error'> }) {
  const { text, color } = looks[state.status];
  const more = state.error?.message ?? (state.door ? `Changes come ${ways[state.door]}.` : text);
  return (
    <Tooltip label={more} multiline maw={320} events={{ hover: true, focus: true, touch: true }}>
      <Badge
        color={color}
        variant="filled"
        size="lg"
        role="status"
        tabIndex={0}
        tt="none"
        leftSection={<span className="dot" />}
        data-status={state.status}
      >
        <span className="badge-text">{text}</span>
      </Badge>
    </Tooltip>
  );
}
