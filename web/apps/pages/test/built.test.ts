import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { files } from '../../../testing/files.js';

const root = join(import.meta.dirname, '..', '..', '..');

test('the committed pages are what their source makes', () => {
  const outDir = mkdtempSync(join(tmpdir(), 'pgbell-pages-'));
  try {
    // In a process of its own: here everything is built for tests.
    const { NODE_ENV: _, ...env } = process.env;
    const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
    const args = [vite, 'build', join(root, 'apps', 'pages'), '--outDir', outDir, '--logLevel', 'error'];
    execFileSync(process.execPath, args, { env });
    expect(files(outDir), 'run npm run build:pages').toEqual(files(join(root, 'dist')));
  } finally {
    rmSync(outDir, { recursive: true, force: true });
  }
});
