import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, inject, test } from 'vitest';
import { people, visit } from './visit.js';

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

test('the lists are tables with rows, also to those who hear them', async () => {
  const p = await people();
  const ids = [await p.book(), await p.book()];
  await visit(
    `${inject('url')}/demo`,
    async (v) => {
      for (const id of ids) await v.booking('Client', id).waitFor();
      // What the browser tells a screen reader: a layout of another kind may take a table's meaning away.
      const devtools = await v.page.context().newCDPSession(v.page);
      const { nodes } = await devtools.send('Accessibility.getFullAXTree');
      const byId = new Map(nodes.map((n) => [n.nodeId, n]));
      type Node = (typeof nodes)[number];
      const below = (n: Node): Node[] =>
        (n.childIds ?? []).flatMap((id) => {
          const child = byId.get(id);
          return child ? [child, ...below(child)] : [];
        });
      const of = (n: Node, role: string) => below(n).filter((c) => !c.ignored && c.role?.value === role);
      const list = nodes.find(
        (n) => n.role?.value === 'table' && n.name?.value === 'Bookings of Clara Client',
      );
      const [head, ...rows] = of(list as Node, 'row');
      expect(of(head as Node, 'columnheader').map((c) => c.name?.value)).toEqual([
        'Number',
        'What',
        'Amount',
        'Actions',
      ]);
      expect(rows.map((r) => of(r, 'cell')[0]?.name?.value)).toEqual(ids.toReversed().map(String));
      expect(rows.map((r) => of(r, 'cell').length)).toEqual([4, 4]);
    },
    { people: p },
  );
});
