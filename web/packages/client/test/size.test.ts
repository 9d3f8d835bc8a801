import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import { expect, test } from 'vitest';

/** How many bytes an application sends to a browser for an entry point, minified and compressed. */
async function weight(entry: string): Promise<number> {
  const input = new URL(`../src/${entry}.ts`, import.meta.url).pathname;
  const bundle = await rolldown({ input });
  const { output } = await bundle.generate({ minify: true });
  return gzipSync(output[0].code, { level: 9 }).length;
}

test('the client is small', async () => {
  expect(await weight('index')).toBeLessThan(8000);
});
test('so are notifications', async () => {
  expect(await weight('notifications')).toBeLessThan(2000);
});
