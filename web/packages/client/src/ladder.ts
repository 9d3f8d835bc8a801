import type { DoorName } from './door.js';
import type { PgbellError } from './errors.js';

/** After so many sessions in a row that did not last, the first door is not tried first. */
const shaky = 3;
/** Once the first door has worked, so many rounds may fail before others are tried: it is more likely that the server is away than that something is in the way. */
const faithful = 2;
/** The longest wait before the first door is tried again. */
const longest = 5 * 60_000;

/**
 * Which door comes next. The doors are steps: the first is the best, a failure
 * leads down, and from further down the client climbs back when the first opens.
 */
export class Ladder {
  readonly #doors: readonly DoorName[];
  #shaky = 0;
  #climbs = 0;
  /** The first door has lasted. */
  #proven = false;

  constructor(doors: readonly DoorName[] | undefined) {
    this.#doors = doors?.length ? doors : ['websocket', 'sse', 'poll'];
  }

  name(index: number): DoorName {
    return this.#doors[index] as DoorName;
  }

  /** Where a round begins: with the best door that is worth trying. */
  start(): number {
    return this.#shaky >= shaky && this.#doors.length > 1 ? 1 : 0;
  }

  /** A connection through this door has lasted for a while. */
  lasted(index: number): void {
    if (index) return;
    this.#shaky = this.#climbs = 0;
    this.#proven = true;
  }

  /** A connection through this door was live, but not for long. */
  broke(index: number): void {
    if (!index) this.#shaky++;
  }

  /** A climb is about to be tried. */
  climb(): void {
    this.#climbs++;
  }

  /** In how many milliseconds to try the first door again while another one serves: each time twice as many. */
  climbIn(first: number): number {
    return Math.min(first * 2 ** this.#climbs, longest) * (0.5 + Math.random() / 2);
  }

  /**
   * Whether to go on with the next door at once, after this one did not open.
   * `failures` is how many rounds have failed; `climbing` that it had taken over
   * from a door that worked.
   */
  goesOn(index: number, { strategy, code }: PgbellError, failures: number, climbing: boolean): boolean {
    if (index + 1 >= this.#doors.length || strategy === 'wait' || code === 'token_unavailable') return false;
    return climbing || strategy === 'fallback' || !this.#proven || failures >= faithful;
  }

  /** Begins anew, as if nothing had failed. */
  forgive(): void {
    this.#shaky = 0;
  }
}
