import type { CursorStorage } from './options.js';
import { Timer } from './timer.js';

/** Where the stream stands. */
export class Position {
  #cursor: string | undefined;
  readonly #storage: CursorStorage | undefined;
  readonly #key: string;
  readonly #saving = new Timer();
  /** Settles when the position is known, or when nobody is finding it out any more. */
  #settling: Promise<void> | undefined;

  constructor(cursor?: string, storage?: CursorStorage, key = 'pgbell:cursor') {
    this.#storage = storage;
    this.#key = key;
    try {
      this.#cursor = cursor ?? storage?.getItem(key) ?? undefined;
    } catch {
      // Storage is off. The stream starts at the present.
    }
  }

  get cursor(): string | undefined {
    return this.#cursor;
  }

  move(cursor: string): void {
    this.#cursor = cursor;
    if (this.#storage && !this.#saving.set) this.#saving.start(250, () => this.save());
  }

  save(): void {
    this.#saving.stop();
    try {
      if (this.#cursor) this.#storage?.setItem(this.#key, this.#cursor);
    } catch {
      // It is full or off. Then the next page starts at the present.
    }
  }

  /**
   * Waits while somebody is finding the position out. If it is still unknown
   * then, the caller is who finds it out, until it calls the returned function.
   */
  async claim(): Promise<() => void> {
    while (!this.#cursor && this.#settling) await this.#settling;
    if (this.#cursor) return () => {};
    let settle = () => {};
    this.#settling = new Promise((resolve) => {
      settle = () => {
        this.#settling = undefined;
        settle = () => {}; // The next one's is not ours to settle.
        resolve();
      };
    });
    return () => settle();
  }

  /**
   * Fetches something that comes with a cursor such that no change after it is
   * missed: when the position is known, or as what determines it. Anything that
   * is fetched later than the position misses nothing, since every change after
   * the position comes by the stream.
   */
  async anchored<T extends { cursor?: string }>(fetch: () => Promise<T>): Promise<T> {
    const settle = await this.claim();
    try {
      const page = await fetch();
      if (!this.#cursor && page.cursor) this.move(page.cursor);
      return page;
    } finally {
      settle();
    }
  }
}
