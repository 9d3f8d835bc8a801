import { Pgbell, type Update } from '@pgbell/client';
import type { SocketOptions, UpdateHandlers } from '@pgbell/react';
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
