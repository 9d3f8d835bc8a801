import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Every file below a directory, by its path in it. */
export function files(directory: string): Record<string, string> {
  const all = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((f) => f.isFile());
  return Object.fromEntries(
    all
      .map((f) => join(f.parentPath, f.name))
      .sort()
      .map((path) => [path.slice(directory.length), readFileSync(path, 'utf8')]),
  );
}
