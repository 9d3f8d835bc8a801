/** setTimeout takes no more than 2^31 - 1. */
const longest = 2 ** 31 - 1;

/** One thing that is to happen later; setting it again replaces it. */
export class Timer {
  #id: ReturnType<typeof setTimeout> | undefined;

  /** Whether something is planned. */
  get set(): boolean {
    return this.#id !== undefined;
  }

  /** Calls f after so many milliseconds, and nothing that was planned before. */
  start(ms: number, f: () => void): void {
    this.stop();
    this.#id = setTimeout(
      () => {
        this.#id = undefined;
        f();
      },
      Math.min(ms, longest),
    );
  }

  stop(): void {
    clearTimeout(this.#id);
    this.#id = undefined;
  }
}
