import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, inject, test } from 'vitest';
import { visit } from './visit.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const pages = ['/demo', '/demo/client', '/demo/provider', '/websocket-test', '/console'];

describe.each(['light', 'dark'] as const)('%s', (colorScheme) => {
  test.each(pages)('%s is accessible and complains of nothing', async (path) => {
    await visit(
      inject('url') + path,
      async (v) => {
        await v.page.getByRole('heading', { level: 1 }).waitFor();
        if (path === '/demo') await v.badge('Live');
        await v.page.waitForLoadState('networkidle');
        await v.page.evaluate(axe);
        // biome-ignore lint/suspicious/noExplicitAny: axe has just been put there
        const { violations } = await v.page.evaluate(() => (globalThis as any).axe.run());
        expect(
          violations.map((found: { id: string; nodes: { html: string }[] }) => [
            found.id,
            found.nodes.map((n) => n.html),
          ]),
        ).toEqual([]);
      },
      { colorScheme },
    );
  });
});
