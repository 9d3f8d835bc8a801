export type Kind = 'in' | 'out' | 'note' | 'error';

/** One line of the log. */
export interface Line {
  readonly n: number;
  /** By the browser's clock. */
  readonly at: number;
  readonly kind: Kind;
  readonly door: string;
  /** The event's name, if it is one. */
  readonly event: string;
  /** As it went over the wire, secrets left out. */
  readonly text: string;
  /** Written while the link was cut. */
  readonly replayed: boolean;
}

export interface Filter {
  /** Kinds that are shown. */
  readonly kinds: readonly Kind[];
  /** What a line has to contain, in any case. */
  readonly text: string;
}

/** How many lines are kept. */
const kept = 5000;
/** How often those who look are told, in milliseconds. */
const batch = 100;

/**
 * The newest lines. Whoever looks is told of many at once, so that hundreds a
 * second cost no more than ten.
 */
export class Log {
  #lines: Line[] = [];
  #shown: readonly Line[] = [];
  #count = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #listeners = new Set<() => void>();

  add(line: Omit<Line, 'n'>): void {
    this.#lines.push({ ...line, n: ++this.#count });
    // Cut in large pieces: moving the rest for each line would cost more.
    if (this.#lines.length > kept + 500) this.#lines = this.#lines.slice(-kept);
    this.#timer ??= setTimeout(() => this.#tell(), batch);
  }

  clear(): void {
    this.#lines = [];
    this.#tell();
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#shown = this.#lines.slice(-kept);
    for (const listener of this.#listeners) listener();
  }

  /** The same array until those who look are told again. The oldest line is first. */
  readonly lines = (): readonly Line[] => this.#shown;

  readonly subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  };
}

export function matches(line: Line, { kinds, text }: Filter): boolean {
  if (!kinds.includes(line.kind)) return false;
  return !text || `${line.event} ${line.door} ${line.text}`.toLowerCase().includes(text.toLowerCase());
}

/** What is seen of a list of equal lines: its places from start to end, a few more than fit. */
export function visible(
  top: number,
  height: number,
  line: number,
  all: number,
): { start: number; end: number } {
  const more = 6;
  const start = Math.max(0, Math.floor(top / line) - more);
  return { start: Math.min(start, all), end: Math.min(all, Math.ceil((top + height) / line) + more) };
}

const token = /("(?:token|pid)"\s*:\s*")[^"]*(")|(bearer\.)[\w.-]+|(Bearer )[\w.-]+/g;

/** Takes tokens out of a frame. */
export const withoutSecrets = (text: string): string =>
  text.replace(token, (_, a = '', b = '', c = '', d = '') => `${a}${c}${d}…${b}`);

/** The name and the data of an event, the first of several, as far as a frame has them. */
export function read(text: string): { event: string; data?: Record<string, unknown> } {
  try {
    const m = JSON.parse(text);
    if (typeof m?.event === 'string') return { event: m.event, data: m.data };
    if (Array.isArray(m?.events)) {
      const [first] = m.events;
      return { event: m.events.length === 1 ? first.event : `${m.events.length} events`, data: first?.data };
    }
  } catch {
    const socketio = /^message 2\d*(\[.*)$/s.exec(text)?.[1];
    if (socketio) {
      try {
        const [event, data] = JSON.parse(socketio);
        return { event: String(event), data };
      } catch {
        return { event: '' };
      }
    }
    const sse = /^event: (\S+)/m.exec(text)?.[1];
    const body = /^data: (.*)$/m.exec(text)?.[1];
    if (sse) {
      try {
        return { event: sse, data: body ? JSON.parse(body) : undefined };
      } catch {
        return { event: sse };
      }
    }
  }
  return { event: '' };
}

/** A frame with line breaks, as far as it is JSON. */
export function pretty(text: string): string {
  const [, before = '', json = ''] = /^([^[{]*)(.*)$/s.exec(text) ?? [];
  try {
    return before + JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return text;
  }
}

/** The last delays, and what is typical of them. */
export class Delays {
  #last: number[] = [];
  count = 0;

  add(ms: number): void {
    this.count++;
    this.#last.push(ms);
    if (this.#last.length > 1000) this.#last = this.#last.slice(-500);
  }

  quantile(q: number): number | null {
    const sorted = [...this.#last].sort((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? null;
  }
}
