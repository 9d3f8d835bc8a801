import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

/** What `npm pack` says of a package. */
export interface Packed {
  filename: string;
  files: { path: string }[];
}

/** A project outside of the workspace, with the packages as they would be published. */
export interface Fresh {
  directory: string;
  packed: Packed[];
  /** Runs a program of the workspace's node_modules there. */
  tool: (path: string, ...args: string[]) => string;
  remove: () => void;
}

/** Makes one, with further packages: `name@version`, or a name for the workspace's own version. */
export function freshProject(...others: string[]): Fresh {
  const directory = mkdtempSync(join(tmpdir(), 'pgbell-fresh-'));
  const packed: Packed[] = [];
  for (const name of ['client', 'react']) {
    const json = execFileSync('npm', ['pack', '--json', '--silent', '--pack-destination', directory], {
      cwd: join(root, 'packages', name),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const answer = JSON.parse(json.slice(json.search(/^[[{]/m)));
    packed.push(...(Object.values(answer) as Packed[]));
  }
  const exact = (name: string) => {
    if (name.lastIndexOf('@') > 0) return name;
    const { version } = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
    return `${name}@${version}`;
  };
  writeFileSync(join(directory, 'package.json'), '{ "private": true }');
  const tarballs = packed.map((p) => join(directory, p.filename));
  execFileSync(
    'npm',
    ['install', '--prefer-offline', '--no-audit', '--no-fund', ...tarballs, ...others.map(exact)],
    { cwd: directory, stdio: 'ignore' },
  );
  return {
    directory,
    packed,
    tool(path, ...args) {
      try {
        return execFileSync(process.execPath, [join(root, 'node_modules', path), ...args], {
          cwd: directory,
          encoding: 'utf8',
        });
      } catch (error) {
        throw new Error(String((error as { stdout?: string }).stdout || error));
      }
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
