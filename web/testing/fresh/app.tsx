import { liveRows, Pgbell, type Update } from '@pgbell/client';
import { liveNotifications } from '@pgbell/client/notifications';
import { PgbellProvider, useNotifications, useRows, useSocket } from '@pgbell/react';

interface Booking {
  id: number;
  status: string;
}

const bell = new Pgbell<{ booking: Booking }>({ url: 'https://bell.example', token: 't' });
const stop: () => void = bell.on('booking_update', (u: Update<Booking, 'booking'>) => u.key?.id);
export const first: Booking | undefined = liveRows(bell, 'booking').getState().rows[0];
export const unread: number = liveNotifications(bell).getState().unread;

function Page() {
  const { rows } = useRows<Booking>('booking');
  const { connected } = useSocket({ onBookingUpdate: (u) => u.action.length });
  const { markRead } = useNotifications();
  return (
    <button type="button" onClick={() => markRead([1]).then(stop)}>
      {rows.map((r) => r.status)} {String(connected)}
    </button>
  );
}

export const App = () => (
  <PgbellProvider client={bell}>
    <Page />
  </PgbellProvider>
);
