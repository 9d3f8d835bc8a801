/**
 * Calls `woken` when the page comes back from wherever it was: the network is
 * there again or has changed, the machine has slept, the tab is looked at. In a
 * program that is no page it never does. Returns how to stop.
 */
export function watchPage(woken: () => void, leaving: () => void): () => void {
  const scope = globalThis as Partial<EventTarget> & { document?: Document };
  if (!scope.addEventListener) return () => {};
  const { document } = scope;
  const seen = () => (document?.visibilityState === 'hidden' ? leaving() : woken());
  const events: [Partial<EventTarget> | undefined, string, () => void][] = [
    [scope, 'online', woken],
    [scope, 'offline', woken],
    [scope, 'pageshow', woken],
    [scope, 'pagehide', leaving],
    [document, 'visibilitychange', seen],
    [document, 'resume', woken],
  ];
  for (const [target, name, f] of events) target?.addEventListener?.(name, f);
  return () => {
    for (const [target, name, f] of events) target?.removeEventListener?.(name, f);
  };
}
