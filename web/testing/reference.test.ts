import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { files } from './files.js';

const root = join(import.meta.dirname, '..');

test('the committed reference is what the types say', () => {
  const out = mkdtempSync(join(tmpdir(), 'pgbell-reference-'));
  try {
    const directory = join(root, 'reference');
    const typedoc = join(directory, 'node_modules', 'typedoc', 'bin', 'typedoc');
    execFileSync(process.execPath, [typedoc, '--out', out], { cwd: directory, stdio: 'pipe' });
    expect(files(out), 'run npm run build:reference').toEqual(files(join(root, '..', 'docs', 'reference')));
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
