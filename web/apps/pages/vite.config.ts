import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const source = (path: string) => fileURLToPath(new URL(`../../packages/${path}`, import.meta.url));

// The built files go to where Go embeds them, see ../../web.go. The packages are
// taken as source, so that nothing has to be built first.
export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  resolve: {
    alias: {
      '@pgbell/client/notifications': source('client/src/notifications.ts'),
      '@pgbell/client': source('client/src/index.ts'),
      '@pgbell/react': source('react/src/index.ts'),
    },
  },
  build: {
    outDir: fileURLToPath(new URL('../../dist', import.meta.url)),
    emptyOutDir: true,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/ws': { target: 'http://127.0.0.1:8080', ws: true },
      '/api': 'http://127.0.0.1:8080',
      '/demo/': 'http://127.0.0.1:8080',
    },
  },
});
