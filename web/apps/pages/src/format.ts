const euros = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' });
export const money = (amount: number): string => euros.format(amount);

const dates = new Intl.DateTimeFormat('en', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  hour12: false,
});
export const moment = (at: number | string): string => dates.format(new Date(at));

const clocks = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hour12: false });
export const clock = (at: number | string | Date): string => clocks.format(new Date(at));

const digits = (maximumSignificantDigits: number) =>
  new Intl.NumberFormat('en', { maximumSignificantDigits, notation: 'compact' });
const numbers = digits(3);
const small = digits(2);
/** A number of three digits at most, such as 12.3K; below ten of two. */
export const short = (n: number): string => (n < 10 ? small : numbers).format(n);

/** Milliseconds for people, with three digits at most. */
export function duration(ms: number): string {
  if (ms >= 90_000) return ago(ms);
  if (ms >= 1000) return `${three(ms / 1000)} s`;
  if (ms > 0 && ms < 1) return `${three(ms * 1000)} µs`;
  return `${three(ms)} ms`;
}

function three(n: number): string {
  return n >= 100 ? n.toFixed(0) : String(Number(n.toPrecision(n >= 10 ? 3 : 2)));
}

const units = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
] as const;

/** A long time in its two biggest units, such as 3 h 12 min. */
export function ago(ms: number): string {
  const first = units.findIndex(([size]) => ms >= size);
  if (first < 0) return '0 s';
  const [size, unit] = units[first]!;
  const [smaller, its] = units[first + 1] ?? [];
  const whole = `${Math.floor(ms / size)} ${unit}`;
  const rest = smaller ? Math.floor((ms % size) / smaller) : 0;
  return rest ? `${whole} ${rest} ${its}` : whole;
}

/** A size in bytes. */
export function bytes(n: number): string {
  const names = ['B', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  let size = n;
  while (size >= 1024 && i < names.length - 1) {
    size /= 1024;
    i++;
  }
  return `${i ? three(size) : size} ${names[i]}`;
}

/** One thing, or several: "1 session", "2 sessions". */
export const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

/** PENDING → Pending. */
export const word = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
