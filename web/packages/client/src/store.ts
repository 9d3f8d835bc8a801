/**
 * Something with a state that changes: what React's `useSyncExternalStore`
 * wants, and every other framework can use. A state is never changed in place,
 * so two that are the same object are equal.
 */
export interface Store<S> {
  getState(): S;
  /** Calls `changed` after each change, until the returned function is called. */
  subscribe(changed: () => void): () => void;
}

/** A set of listeners none of whom can disturb the others. */
export class Listeners<A extends unknown[]> {
  readonly #set = new Set<(...args: A) => void>();

  get size(): number {
    return this.#set.size;
  }

  /** The returned function takes the listener away again. */
  add(listener: (...args: A) => void): () => void {
    const own = (...args: A) => listener(...args);
    this.#set.add(own);
    return () => void this.#set.delete(own);
  }

  call(...args: A): void {
    for (const listener of [...this.#set]) {
      try {
        listener(...args);
      } catch (error) {
        // It is the application's. The stream goes on, and the error is shown
        // where uncaught errors are.
        if (typeof reportError === 'function') reportError(error);
        else console.error(error);
      }
    }
  }
}

/**
 * A store that works while somebody subscribes to it. When the last subscriber
 * has gone and nobody comes in the same breath, it stops and forgets.
 */
export abstract class LiveStore<S> implements Store<S> {
  readonly #listeners = new Listeners<[]>();
  #stops: (() => void)[] | undefined;
  #state: S;

  constructor(readonly empty: S) {
    this.#state = empty;
  }

  /** Starts, and returns what has to be called to stop. */
  protected abstract start(): (() => void)[];

  protected get running(): boolean {
    return !!this.#stops;
  }

  /** Both of these can be handed on as they are. */
  readonly getState = (): S => this.#state;

  protected setState(state: S): void {
    this.#state = state;
    this.#listeners.call();
  }

  readonly subscribe = (changed: () => void): (() => void) => {
    const remove = this.#listeners.add(changed);
    this.#stops ??= this.start();
    return () => {
      remove();
      setTimeout(() => {
        if (this.#listeners.size || !this.#stops) return;
        for (const stop of this.#stops) stop();
        this.#stops = undefined;
        this.#state = this.empty;
      }, 0);
    };
  };
}
