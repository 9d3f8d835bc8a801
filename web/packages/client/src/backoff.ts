/**
 * Exponential back-off with full jitter: a random time between 0 and
 * min · 2^attempt, at most max, in milliseconds. Clients that lose a server
 * together so come back spread out.
 * See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
 */
export function fullJitter(attempt: number, min: number, max: number): number {
  return Math.random() * Math.min(max, min * 2 ** Math.min(attempt, 30));
}
