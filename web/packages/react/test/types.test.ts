import { type Arrived, Pgbell, type PgbellError, type Update } from '@pgbell/client';
import { type SocketOptions, type UpdateHandlers, useNotifications, useSocket } from '@pgbell/react';
import { expectTypeOf, test } from 'vitest';
import { handlerName } from '../src/register.js';

interface Booking {
  id: number;
  status: 'PENDING' | 'CONFIRMED';
}
interface AppRows {
  booking: Booking;
  line_item: { id: number };
}

test('types follow the rows of the application', ({ expect }) => {
  const bell = new Pgbell<AppRows>({ token: 't', url: 'https://bell.example' });
  bell.on('booking_update', (u) => {
    expectTypeOf(u.type).toEqualTypeOf<'booking'>();
    if (u.op === 'update') {
      expectTypeOf(u.data).toEqualTypeOf<Booking>();
      expectTypeOf(u.changed).toEqualTypeOf<('id' | 'status')[]>();
    }
    if (u.op === 'delete') expectTypeOf(u.data).toEqualTypeOf<null>();
  });
  // @ts-expect-error there are no such rows
  bell.on('invoice_update', () => {});
  new Pgbell({ token: 't', url: 'https://bell.example' }).on(
    'anything_update',
    (u) => expectTypeOf(u.data).toBeAny,
  );

  expectTypeOf<UpdateHandlers<AppRows>>().toEqualTypeOf<{
    onBookingUpdate?: (update: Update<Booking, 'booking'>) => void;
    onLineItemUpdate?: (update: Update<{ id: number }, 'line_item'>) => void;
  }>();
  // @ts-expect-error there are no such rows
  const wrong: SocketOptions<AppRows> = { onInvoiceUpdate: () => {} };
  expect(wrong).toBeDefined();
  expect(['booking', 'line_item'].map(handlerName)).toEqual(['onBookingUpdate', 'onLineItemUpdate']);
});

test('the hooks take and return what they promise', () => {
  const nothing = () => {};
  const follow = () =>
    useSocket({
      userId: 'anna',
      role: 'CLIENT',
      token: 't',
      enablePolling: true,
      onBookingUpdate: (u) => expectTypeOf(u.op).toExtend<string>(),
      onPaymentUpdate: nothing,
      onPayoutUpdate: nothing,
      onNotification: (n) => expectTypeOf(n).toEqualTypeOf<Arrived>(),
    });
  expectTypeOf(follow).returns.toExtend<{
    connected: boolean;
    connecting: boolean;
    error: PgbellError | null;
    reconnect: () => void;
    isPolling: boolean;
  }>();
  // @ts-expect-error a misspelt option
  const misspelt = () => useSocket<AppRows>({ enablePoling: true });
  expectTypeOf(misspelt).toBeFunction();
  expectTypeOf<Arrived['unread']>().toEqualTypeOf<number | undefined>();
  expectTypeOf(useNotifications).returns.toExtend<{
    unread: number;
    markRead: (ids: number[]) => Promise<void>;
  }>();
});
