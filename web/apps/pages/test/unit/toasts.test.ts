import { expect, test } from 'vitest';
import { Room } from '../../src/toasts';

test('there is room for so many toasts in so long a time', () => {
  const room = new Room(2, 1000);
  expect([room.take(0), room.take(10), room.take(20), room.take(30)]).toEqual([true, true, false, false]);
  expect(room.turnedAway).toBe(2);
  expect(room.take(1001)).toBe(true);
  expect(room.turnedAway).toBe(0);
  expect(room.take(1002)).toBe(false);
  expect(room.take(1011)).toBe(true);
});
