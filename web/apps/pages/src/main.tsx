import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import {
  Anchor,
  Container,
  type CSSVariablesResolver,
  createTheme,
  Group,
  Loader,
  MantineProvider,
  SegmentedControl,
  useMantineColorScheme,
} from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { lazy, type ReactNode, StrictMode, Suspense } from 'react';
import { createRoot } from 'react-dom/client';

const Demo = lazy(() => import('./demo'));
const TestPanel = lazy(() => import('./test-panel'));
const Console = lazy(() => import('./console'));

const pages: { path: string; name: string; page: () => ReactNode }[] = [
  { path: '/demo', name: 'Demo', page: () => <Demo /> },
  { path: '/demo/client', name: 'Client', page: () => <Demo only="CLIENT" /> },
  { path: '/demo/provider', name: 'Provider', page: () => <Demo only="PROVIDER" /> },
  { path: '/websocket-test', name: 'Test panel', page: () => <TestPanel /> },
  { path: '/console', name: 'Console', page: () => <Console /> },
];

const theme = createTheme({
  primaryColor: 'teal',
  primaryShade: 9,
  autoContrast: true,
  respectReducedMotion: true,
  components: {
    Notification: { styles: { description: { color: 'var(--mantine-color-text)' } } },
  },
});

/** The library's dimmed text and its buttons under a pointer are too faint to read. */
const variables: CSSVariablesResolver = () => ({
  variables: {
    '--mantine-primary-color-filled-hover': 'var(--mantine-color-teal-filled)',
    '--mantine-color-teal-filled-hover': 'var(--mantine-color-teal-filled)',
  },
  light: { '--mantine-color-dimmed': 'var(--mantine-color-gray-7)' },
  dark: { '--mantine-color-dimmed': 'var(--mantine-color-dark-0)' },
});

function Scheme() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <SegmentedControl
      size="xs"
      aria-label="Colours"
      value={colorScheme}
      onChange={(value) => setColorScheme(value as 'auto' | 'light' | 'dark')}
      data={['auto', 'light', 'dark']}
    />
  );
}

function App() {
  const here = location.pathname.replace(/\/$/, '');
  const { name, page } = pages.find((p) => p.path === here) ?? (pages[0] as (typeof pages)[number]);
  document.title = `${name} · pgbell`;
  return (
    <Container size="xl" py="md">
      <Group component="header" justify="space-between" mb="md">
        <nav aria-label="Pages">
          <Group gap="md">
            {pages.map((p) => (
              <Anchor
                key={p.path}
                href={p.path}
                aria-current={p.path === here ? 'page' : undefined}
                fw={p.path === here ? 700 : 400}
                style={{ color: 'light-dark(var(--mantine-color-teal-9), var(--mantine-color-teal-3))' }}
              >
                {p.name}
              </Anchor>
            ))}
          </Group>
        </nav>
        <Scheme />
      </Group>
      <main>
        <Suspense fallback={<Loader aria-label="Loading" />}>{page()}</Suspense>
      </main>
    </Container>
  );
}

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto">
      <Notifications limit={3} position="bottom-right" />
      <App />
    </MantineProvider>
  </StrictMode>,
);
