import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const fresh = mkdtempSync(join(tmpdir(), 'pgbell-fresh-'));
const tool = (path: string, ...args: string[]) => {
  try {
    return execFileSync(process.execPath, [join(root, 'node_modules', path), ...args], {
      cwd: fresh,
      encoding: 'utf8',
    });
  } catch (error) {
    throw new Error(String((error as { stdout?: string }).stdout ?? error));
  }
};
const node = (...args: string[]) =>
  execFileSync(process.execPath, args, { cwd: fresh, encoding: 'utf8' }).trim();

interface Packed {
  filename: string;
  files: { path: string }[];
}
const packed: Packed[] = [];

beforeAll(() => {
  for (const name of ['client', 'react']) {
    const json = execFileSync('npm', ['pack', '--json', '--silent', '--pack-destination', fresh], {
      cwd: join(root, 'packages', name),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const answer = JSON.parse(json.slice(json.search(/^[[{]/m)));
    packed.push(...(Object.values(answer) as Packed[]));
  }
  cpSync(join(import.meta.dirname, 'fresh'), fresh, { recursive: true });
  const tarballs = packed.map((p) => join(fresh, p.filename));
  const of = (name: string) => {
    const { version } = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
    return `${name}@${version}`;
  };
  writeFileSync(join(fresh, 'package.json'), '{ "private": true }');
  execFileSync(
    'npm',
    [
      'install',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      ...tarballs,
      ...['react', 'react-dom', '@types/react', '@types/react-dom'].map(of),
    ],
    { cwd: fresh, stdio: 'ignore' },
  );
}, 120_000);
afterAll(() => rmSync(fresh, { recursive: true, force: true }));

test('the tarballs hold what is built, and nothing else', () => {
  expect(packed).toHaveLength(2);
  for (const { files } of packed) {
    const paths = files.map((f) => f.path);
    expect(paths).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'README.md',
        'package.json',
        'dist/esm/index.js',
        'dist/cjs/index.d.ts',
      ]),
    );
    expect(paths.filter((p) => !/^(dist\/|LICENSE$|README\.md$|package\.json$)/.test(p))).toEqual([]);
  }
  const installed = readdirSync(join(fresh, 'node_modules', '@pgbell', 'client', 'dist', 'esm'));
  expect(installed.filter((f) => !/\.(js|d\.ts)$/.test(f))).toEqual([]);
});

test('both kinds of modules load', () => {
  const print = 'console.log(typeof Pgbell, typeof liveNotifications, typeof useRows)';
  const names = [
    ['{ Pgbell }', '@pgbell/client'],
    ['{ liveNotifications }', '@pgbell/client/notifications'],
    ['{ useRows }', '@pgbell/react'],
  ];
  const esm = names.map(([n, from]) => `import ${n} from '${from}';`).join('');
  const cjs = names.map(([n, from]) => `const ${n} = require('${from}');`).join('');
  expect(node('--input-type=module', '-e', esm + print)).toBe('function function function');
  expect(node('--input-type=commonjs', '-e', cjs + print)).toBe('function function function');
});

describe('types resolve in a fresh project', () => {
  const strict = ['--noEmit', '--strict', '--jsx', 'react-jsx', '--target', 'es2022', '--lib', 'es2022,dom'];
  const check = (file: string, ...args: string[]) =>
    tool('typescript/bin/tsc', '--ignoreConfig', file, ...strict, ...args);

  test('with a bundler', () => {
    expect(check('app.tsx', '--module', 'esnext', '--moduleResolution', 'bundler')).toBe('');
  });
  test.each(['module', 'commonjs'])('with node16, as %s', (type) => {
    const directory = join(fresh, type);
    mkdirSync(directory);
    writeFileSync(join(directory, 'package.json'), JSON.stringify({ type }));
    cpSync(join(fresh, 'app.tsx'), join(directory, 'app.tsx'));
    expect(check(join(type, 'app.tsx'), '--module', 'node16', '--moduleResolution', 'node16')).toBe('');
  });
});

test('a fresh Vite app builds', () => {
  tool('vite/bin/vite.js', 'build', '--logLevel', 'error');
  const assets = readdirSync(join(fresh, 'dist', 'assets'));
  const code = readFileSync(join(fresh, 'dist', 'assets', assets[0] as string), 'utf8');
  expect(code).toContain('pgbell.v1');
}, 60_000);
