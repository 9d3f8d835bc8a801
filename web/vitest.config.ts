import { defineConfig } from 'vitest/config';

// The packages are tested as their source; what is packed has a test of its own.
const alias = {
  '@pgbell/client/notifications': new URL('packages/client/src/notifications.ts', import.meta.url).pathname,
  '@pgbell/client': new URL('packages/client/src/index.ts', import.meta.url).pathname,
  '@pgbell/react': new URL('packages/react/src/index.ts', import.meta.url).pathname,
};
const old = new URL('testing/react-18/node_modules', import.meta.url).pathname;
const library = new URL('node_modules/@testing-library/react/dist/@testing-library', import.meta.url)
  .pathname;
const react = { environment: 'happy-dom', include: ['packages/react/test/*.test.{ts,tsx}'] };
const common = { alias, restoreMocks: true };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['packages/client/test/*.test.ts', 'apps/pages/test/unit/*.test.ts'],
        },
      },
      { test: { ...common, ...react, name: 'react 19' } },
      {
        test: {
          ...common,
          ...react,
          name: 'react 18',
          alias: [
            { find: /^react-dom($|\/)/, replacement: `${old}/react-dom$1` },
            // Its CommonJS build would bring the other React.
            { find: '@testing-library/react', replacement: `${library}/react.esm.js` },
            { find: /^react($|\/)/, replacement: `${old}/react$1` },
            ...Object.entries(alias).map(([find, replacement]) => ({ find, replacement })),
          ],
          env: { REACT_MAJOR: '18' },
          server: { deps: { inline: [/@testing-library/, /react-18/] } },
        },
      },
      {
        test: {
          name: 'packages',
          include: ['testing/pack.test.ts', 'testing/reference.test.ts', 'apps/pages/test/built.test.ts'],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          ...common,
          name: 'server',
          include: [
            'packages/*/test/server/*.test.{ts,tsx}',
            'apps/*/test/browser/*.test.ts',
            'testing/docs.test.ts',
          ],
          globalSetup: ['testing/setup.ts'],
          testTimeout: 60_000,
        },
      },
    ],
  },
});
