import { Pgbell } from '@pgbell/client';
import { liveNotifications } from '@pgbell/client/notifications';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FakeNetwork, paperToken } from '../../../testing/fake.js';

let net: FakeNetwork;
let bell: Pgbell;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(1);
  net = new FakeNetwork();
  bell = new Pgbell({
    url: 'https://bell.example',
    token: () => paperToken('anna'),
    WebSocket: net.WebSocket,
    fetch: net.fetch,
    doors: ['websocket'],
  });
});
afterEach(() => {
  bell.close();
  vi.useRealTimers();
});

const settle = () => vi.advanceTimersByTimeAsync(0);
const note = (id: number, readAt: string | null = null) => ({
  id,
  type: 'booking.accepted',
  audience: 'client',
  level: 'info',
  title: `n${id}`,
  message: '',
  data: null,
  createdAt: '2026-01-01T00:00:00Z',
  readAt,
});

async function listed(...notifications: object[]) {
  const feed = liveNotifications(bell);
  feed.subscribe(() => {});
  await settle();
  net.request.json({ notifications, unread: 7, next: 8, cursor: 'c0' });
  await settle();
  bell.connect();
  await settle();
  net.socket.open();
  await settle();
  net.socket.say('authenticated', { userId: 'anna', roles: [] }, { cursor: 'c0' });
  return feed;
}
const ids = (feed: ReturnType<typeof liveNotifications>) => feed.getState().notifications.map((n) => n.id);

test('a list, its unread count, and what arrives', async () => {
  const feed = await listed(note(2), note(1, '2026-01-01T00:00:00Z'));
  expect(feed.getState()).toMatchObject({ unread: 7, more: true, loading: false });
  net.socket.say('notification', { ...note(3), unread: 8 });
  net.socket.say('notification', { ...note(3), unread: 8 });
  expect(ids(feed)).toEqual([3, 2, 1]);
  expect(feed.getState().unread).toBe(8);
});

test('older ones', async () => {
  const feed = await listed(note(9), note(8));
  const more = feed.loadMore();
  await settle();
  expect(net.request.url.search).toBe('?before=8');
  net.request.json({ notifications: [note(8), note(7)], unread: 7, cursor: 'c1' });
  await more;
  expect(ids(feed)).toEqual([9, 8, 7]);
  expect(feed.getState().more).toBe(false);
  const n = net.requests.length;
  await feed.loadMore();
  expect(net.requests.length).toBe(n);
});

test('reading shows at once, and the server has the last word', async () => {
  const feed = await listed(note(2), note(1));
  const done = feed.markRead([2]);
  expect(feed.getState().unread).toBe(6);
  expect(feed.getState().notifications.map((n) => !!n.readAt)).toEqual([true, false]);
  await settle();
  expect(net.request.url.pathname).toBe('/api/notifications/read');
  expect(net.request.init).toMatchObject({ method: 'POST', body: '{"ids":[2]}' });
  net.request.json({ unread: 5 });
  await done;
  expect(feed.getState().unread).toBe(5);
});

test('an answer that comes late does not hide what came before it', async () => {
  const feed = await listed(note(2), note(1));
  const done = feed.markRead('all');
  await settle();
  net.socket.say('notifications_read', { ids: [1, 2], unread: 0 });
  net.socket.say('notification', { ...note(3), unread: 1 });
  net.request.json({ unread: 0 });
  await done;
  expect(feed.getState().unread).toBe(1);
  expect(feed.getState().notifications.map((n) => !!n.readAt)).toEqual([false, true, true]);
});

test('older ones are read, too, if that is heard before they come', async () => {
  const feed = await listed(note(9), note(8));
  const more = feed.loadMore();
  await settle();
  net.socket.say('notifications_read', { ids: [7], unread: 6 });
  net.socket.say('notification', { ...note(10), unread: 7 });
  net.request.json({ notifications: [note(7), note(6)], unread: 7, cursor: 'c1' });
  await more;
  expect(ids(feed)).toEqual([10, 9, 8, 7, 6]);
  expect(feed.getState().notifications.map((n) => !!n.readAt)).toEqual([false, false, false, true, false]);
  expect(feed.getState().unread).toBe(7);
});

test('a long list leaves out the oldest, which can be fetched again', async () => {
  const feed = await listed(note(9), note(8));
  for (let id = 10; id < 510; id++) net.socket.say('notification', { ...note(id), unread: id });
  expect(feed.getState().notifications).toHaveLength(500);
  expect(feed.getState().more).toBe(true);
  const more = feed.loadMore();
  await settle();
  expect(net.request.url.search).toBe('?before=10');
  net.request.json({ notifications: [note(9), note(8)], unread: 509, cursor: 'c1' });
  await more;
  expect(ids(feed).slice(-3)).toEqual([10, 9, 8]);
  // What was fetched by hand stays.
  net.socket.say('notification', { ...note(510), unread: 510 });
  expect(feed.getState().notifications).toHaveLength(502);
});

test('another user does not see the notifications of the one before', async () => {
  const feed = await listed(note(2), note(1));
  bell.setToken(() => paperToken('bilal'));
  await settle();
  net.socket.say('authenticated', { userId: 'bilal', roles: [] }, { cursor: 'c1' });
  expect(feed.getState()).toMatchObject({ notifications: [], unread: 0, loading: true });
  await settle();
  net.request.json({ notifications: [note(5)], unread: 1, cursor: 'c1' });
  await settle();
  expect(ids(feed)).toEqual([5]);
});

test('a failure is taken back', async () => {
  const feed = await listed(note(1));
  const done = feed.markRead('all');
  expect(feed.getState().unread).toBe(0);
  await settle();
  expect(net.request.init.body).toBe('{"all":true}');
  net.request.json({ code: 'unavailable', message: '', retryable: true }, 503);
  await expect(done).rejects.toMatchObject({ code: 'unavailable' });
  expect(feed.getState()).toMatchObject({ unread: 7, notifications: [{ id: 1, readAt: null }] });
  await settle();
  net.request.json({ notifications: [note(1)], unread: 7, cursor: 'c1' });
  await settle();
  expect(feed.getState()).toMatchObject({ unread: 7, notifications: [{ id: 1, readAt: null }] });
});

test('reading on another device', async () => {
  const feed = await listed(note(2), note(1));
  net.socket.say('notifications_read', { ids: [1], unread: 6 });
  expect(feed.getState().notifications.map((n) => !!n.readAt)).toEqual([false, true]);
  expect(feed.getState().unread).toBe(6);
  net.socket.say('notifications_read', { ids: [2, 1, 0], unread: 4 });
  expect(feed.getState()).toMatchObject({ unread: 4, notifications: [{ id: 2 }, { id: 1 }] });
  expect(feed.getState().notifications.every((n) => n.readAt)).toBe(true);
});

test('what comes without a count has the list fetched', async () => {
  const feed = await listed(note(1));
  net.socket.say('notification', note(2));
  expect(ids(feed)).toEqual([2, 1]);
  expect(feed.getState().unread).toBe(8);
  const n = net.requests.length;
  net.socket.say('notifications_read', { ids: [1] });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(net.requests.length).toBe(n + 1);
  net.request.json({ notifications: [note(2), note(1, '2026-01-01T00:00:00Z')], unread: 9, cursor: 'c1' });
  await settle();
  expect(feed.getState().unread).toBe(9);
});

test('a reset fetches again, and what arrives meanwhile stays', async () => {
  const feed = await listed(note(1));
  net.socket.say('reset', { reason: 'retention' });
  await settle();
  net.socket.say('notification', { ...note(5), unread: 9 });
  net.request.json({ notifications: [note(4), note(1)], unread: 8, cursor: 'c1' });
  await settle();
  expect(ids(feed)).toEqual([5, 4, 1]);
  expect(feed.getState().unread).toBe(9);
});

test('a server without notifications is an error, and asked no more', async () => {
  const feed = liveNotifications(bell);
  feed.subscribe(() => {});
  await settle();
  net.request.json({ code: 'not_found', message: 'No.', retryable: false }, 404);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(feed.getState()).toMatchObject({ loading: false, error: { code: 'not_found' } });
  expect(net.requests).toHaveLength(1);
});
