import type { Booking } from './rows';

/** What people do in the marketplace. */
export type Action = 'accept' | 'decline' | 'cancel' | 'pay' | 'release';

/**
 * Asks the sample application to write rows. It answers with nothing: what has
 * changed comes by the stream, as it does for everybody else.
 */
export async function act(token: string, booking: number, action: Action): Promise<void> {
  await post(token, `/demo/api/bookings/${booking}/${action}`);
}

export async function book(
  token: string,
  wish: Pick<Booking, 'provider_id' | 'service' | 'price'>,
): Promise<void> {
  await post(token, '/demo/api/bookings', wish);
}

async function post(token: string, path: string, body?: object): Promise<void> {
  const answer = await fetch(path, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body ?? {}),
  });
  if (answer.ok) return;
  const said = await answer.json().catch(() => null);
  throw new Error(said?.message ?? `The marketplace answered ${answer.status}.`);
}
