import { ErrorLog, PgbellError } from '@pgbell/client';
import { io } from 'socket.io-client';
import type { Link, LinkState, Told } from './link';

/** A link through the door for Socket.IO clients, with their own client. */
export function openSocketIO(token: string, told: Told): Link {
  const socket = io({ auth: { token }, reconnection: true, reconnectionDelayMax: 5000 });
  const errors = new ErrorLog();
  let cutting = false;
  let state: LinkState = { status: 'connecting', door: null, error: null, userId: null, roles: [] };
  const turn = (next: Partial<LinkState>) => {
    state = { ...state, ...next };
    told.state(state);
  };
  const transport = () => `socket.io ${socket.io.engine?.transport?.name ?? ''}`.trim();

  function failed(error: Error & { data?: { code?: string; message?: string; retryable?: boolean } }) {
    const { code = 'network', message = error.message, retryable = true } = error.data ?? {};
    const failure = new PgbellError(code, message, undefined, retryable);
    errors.add(failure);
    told.note('error', `${code}: ${message}`);
    // After a refusal the client does not come back by itself.
    turn({ status: socket.active ? 'offline' : 'stopped', error: failure });
  }

  socket.io.on('open', () => {
    const { engine } = socket.io;
    engine.on('packet', ({ type, data }) => told.frame('in', `${type} ${data ?? ''}`.trim(), transport()));
    engine.on('packetCreate', ({ type, data }) =>
      told.frame('out', `${type} ${data ?? ''}`.trim(), transport()),
    );
    engine.on('upgrade', () => {
      told.note('note', 'upgraded to WebSocket');
      turn({ door: transport() });
    });
  });
  socket.io.on('reconnect_attempt', (n) => told.note('note', `attempt ${n}`));
  socket.on('connect', () => {
    told.note('note', socket.recovered ? 'connected, recovered' : 'connected');
    turn({ status: 'live', door: transport(), error: null });
  });
  socket.on('connect_error', failed);
  socket.on('disconnect', (reason) => {
    told.note('note', `disconnected: ${reason}`);
    turn({ status: cutting || reason === 'io client disconnect' ? 'idle' : 'offline', door: null });
  });
  socket.onAny((event: string, data) => {
    if (event === 'authenticated') turn({ userId: data.userId, roles: data.roles });
    else if (event === 'stream') turn({ status: data.live ? 'live' : 'offline' });
    else if (event.endsWith('_update')) told.update(data);
  });
  const request = async (event: string, room: string) => {
    const answer = await socket.timeout(10_000).emitWithAck(event, { room });
    if (!answer?.ok) throw new PgbellError(answer?.code ?? 'bad_answer', answer?.message ?? 'No answer.');
  };
  return {
    resume: () => {
      cutting = false;
      socket.io.reconnection(true);
      socket.connect();
      turn({ status: 'connecting' });
    },
    // As a network does it: a disconnect that is said ends the session.
    cut: () => {
      cutting = true;
      socket.io.reconnection(false);
      socket.io.engine.close();
      turn({ status: 'idle', door: null });
    },
    close: () => socket.disconnect(),
    join: (room) => request('join_room', room),
    leave: (room) => request('leave_room', room),
    stats: () => errors.stats(),
    cursor: undefined,
  };
}
