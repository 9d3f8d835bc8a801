import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startChromium } from './chromium.js';
import { awaitOutput, stopProcess } from './process.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The pgbell binary. */
    binary: string;
    /** The demo that runs during the tests. */
    url: string;
    /** Its database. */
    database: string;
    /** What tokens are signed with. */
    secret: string;
    /** Where to reach the browser. */
    browser: string;
  }
}

const secret = 'a secret of at least thirty-two bytes';

/** Builds pgbell and runs its demo, without traffic, and a browser, for all tests against a real server. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = mkdtempSync(join(tmpdir(), 'pgbell-web-'));
  // Run by root, Postgres gets an account of its own, which has to pass here.
  chmodSync(directory, 0o755);
  const binary = process.env.PGBELL_BINARY ?? join(directory, 'pgbell');
  if (!process.env.PGBELL_BINARY) {
    const root = join(import.meta.dirname, '..', '..');
    execFileSync('go', ['build', '-o', binary, './cmd/pgbell'], { cwd: root, stdio: 'inherit' });
  }
  const demo = spawn(
    binary,
    ['demo', '--no-traffic', '--listen', '127.0.0.1:0', '--data', join(directory, 'data')],
    { env: { ...process.env, PGBELL_JWT_SECRET: secret } },
  );
  const [said, chromium] = await Promise.all([
    awaitOutput(demo, /Open\s+(\S+)\/demo[\s\S]*?'(postgres:[^']+)'/),
    startChromium(),
  ]);
  project.provide('binary', binary);
  project.provide('url', said[1] as string);
  project.provide('database', said[2] as string);
  project.provide('secret', secret);
  project.provide('browser', chromium.wsEndpoint());
  return async () => {
    await chromium.close();
    await stopProcess(demo);
    rmSync(directory, { recursive: true, force: true });
  };
}
