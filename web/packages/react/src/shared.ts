import { type Options, Pgbell } from '@pgbell/client';

/** The connections of a page that belong to no provider, by what makes them different. */
const connections = new Map<string, { bell: Pgbell; holders: number }>();

/**
 * The connection of this name, made if there is none, and held until the
 * returned function is called. Whoever comes first gives the options.
 */
export function share(name: string, options: () => Options): [bell: Pgbell, release: () => void] {
  const entry = connections.get(name) ?? { bell: new Pgbell(options()), holders: 0 };
  connections.set(name, entry);
  entry.holders++;
  const release = entry.bell.retain();
  return [
    entry.bell,
    () => {
      release();
      entry.holders--;
      // A component that is mounted again in the same breath finds it here.
      setTimeout(() => entry.holders || connections.delete(name), 0);
    },
  ];
}
