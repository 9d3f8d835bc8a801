import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fresh, freshProject } from './fresh.js';

let project: Fresh;
let fresh: string;
beforeAll(() => {
  project = freshProject('react', 'react-dom', '@types/react', '@types/react-dom');
  fresh = project.directory;
  cpSync(join(import.meta.dirname, 'fresh'), fresh, { recursive: true });
}, 120_000);
afterAll(() => project.remove());

const node = (...args: string[]) =>
  execFileSync(process.execPath, args, { cwd: fresh, encoding: 'utf8' }).trim();

test('the tarballs hold what is built, and nothing else', () => {
  expect(project.packed).toHaveLength(2);
  for (const { files } of project.packed) {
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
    project.tool('typescript/bin/tsc', '--ignoreConfig', file, ...strict, ...args);

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
  project.tool('vite/bin/vite.js', 'build', '--logLevel', 'error');
  const assets = readdirSync(join(fresh, 'dist', 'assets'));
  const code = readFileSync(join(fresh, 'dist', 'assets', assets[0] as string), 'utf8');
  expect(code).toContain('pgbell.v1');
}, 60_000);
