/** How often the clock is looked at, and by how much it has to jump for a sleep, in milliseconds. */
const tick = 5000;
const jump = 10_000;

/**
 * Calls `woken` when the page comes back from wherever it was: the network is
 * there again or has changed, the machine has slept, the tab is looked at.
 * Returns how to stop.
 *
 * A machine that sleeps tells nobody, and its timers stand still meanwhile: that
 * it has slept shows in a clock that has jumped. That is all there is to see in a
 * program that is no page.
 */
export function watchPage(woken: () => void, leaving: () => void): () => void {
  const scope = globalThis as Partial<EventTarget> & {
    document?: Document;
    navigator?: { connection?: EventTarget };
  };
  const { document } = scope;
  const hidden = () => document?.visibilityState === 'hidden';
  const seen = () => (hidden() ? leaving() : woken());
  const events: [Partial<EventTarget> | undefined, string, () => void][] = [
    [scope, 'online', woken],
    [scope, 'offline', woken],
    [scope, 'pageshow', woken],
    [scope, 'pagehide', leaving],
    [document, 'visibilitychange', seen],
    [document, 'resume', woken],
    [scope.navigator?.connection, 'change', woken],
  ];
  for (const [target, name, f] of events) target?.addEventListener?.(name, f);
  let looked = Date.now();
  const clock = setInterval(() => {
    const slept = Date.now() - looked > tick + jump;
    looked = Date.now();
    // Browsers slow down the timers of a page that nobody sees.
    if (slept && !hidden()) woken();
  }, tick);
  // It is no reason for a program to go on running.
  (clock as { unref?: () => void }).unref?.();
  return () => {
    clearInterval(clock);
    for (const [target, name, f] of events) target?.removeEventListener?.(name, f);
  };
}
