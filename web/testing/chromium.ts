import { accessSync, constants } from 'node:fs';
import { type BrowserServer, chromium } from 'playwright-core';

/** Where to look for a browser, after `CHROMIUM`. */
const places = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

function executable(path: string | undefined): path is string {
  try {
    accessSync(path ?? '', constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Starts a browser without a screen, for all tests together. */
export async function startChromium(): Promise<BrowserServer> {
  const executablePath = [process.env.CHROMIUM, ...places].find(executable);
  if (!executablePath) throw new Error('no Chromium found: run .ci/setup, or name one in CHROMIUM');
  return chromium.launchServer({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
