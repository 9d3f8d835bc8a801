import { notifications } from '@mantine/notifications';

/** How many are seen at once. */
export const toastLimit = 3;
const shown = 4000;
const summary = 'more';

interface Toast {
  title?: string;
  /** The same id is shown once. */
  id?: string;
  failed?: boolean;
}

/**
 * Says whether there is room for another toast. Without a bound a busy hour
 * would queue toasts for an hour.
 */
export class Room {
  #until: number[] = [];
  /** How many found no room since the last one that did. */
  turnedAway = 0;

  constructor(
    readonly places: number,
    readonly lasts: number,
  ) {}

  take(now: number): boolean {
    this.#until = this.#until.filter((t) => t > now);
    if (this.#until.length >= this.places) {
      this.turnedAway++;
      return false;
    }
    this.#until.push(now + this.lasts);
    this.turnedAway = 0;
    return true;
  }
}

const room = new Room(toastLimit - 1, shown);

/** Shows something for a few seconds. What finds no room is counted in one last toast. */
export function toast(message: string, { title, id, failed }: Toast = {}): void {
  if (!failed && !room.take(Date.now())) {
    const more = {
      id: summary,
      message: `and ${room.turnedAway} more`,
      color: 'gray.7',
      autoClose: shown,
      withCloseButton: false,
    };
    if (room.turnedAway === 1) notifications.show(more);
    else notifications.update(more);
    return;
  }
  notifications.show({
    ...(id && { id }),
    ...(title && { title }),
    message,
    color: failed ? 'red.9' : 'teal.9',
    autoClose: failed ? 2 * shown : shown,
    closeButtonProps: { 'aria-label': 'Close' },
  });
}
