import {
  Burger,
  Center,
  Container,
  Group,
  Loader,
  SegmentedControl,
  Stack,
  Text,
  useMantineColorScheme,
  VisuallyHidden,
} from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { Component, lazy, type ReactNode, Suspense } from 'react';
import { BellIcon, MoonIcon, ScreenIcon, SunIcon } from './icons';
import { isDemo } from './people';

const Demo = lazy(() => import('./demo'));
const TestPanel = lazy(() => import('./panel/panel'));
const Console = lazy(() => import('./console/console'));

interface Page {
  path: string;
  name: string;
  page: () => ReactNode;
  /** Only where there is a marketplace. */
  demo?: boolean;
}

const all: readonly Page[] = [
  { path: '/demo', name: 'Demo', page: () => <Demo />, demo: true },
  { path: '/demo/client', name: 'Client', page: () => <Demo only="CLIENT" />, demo: true },
  { path: '/demo/provider', name: 'Provider', page: () => <Demo only="PROVIDER" />, demo: true },
  { path: '/websocket-test', name: 'Test panel', page: () => <TestPanel /> },
  { path: '/console', name: 'Console', page: () => <Console /> },
];
const pages = all.filter((p) => isDemo || !p.demo);

export function App() {
  const here = location.pathname.replace(/\/$/, '');
  const { name, page } = pages.find((p) => p.path === here) ?? (pages[0] as Page);
  const [open, { toggle }] = useDisclosure();
  document.title = `${name} · pgbell`;
  const links = pages.map((p) => (
    <a key={p.path} className="nav-link" href={p.path} aria-current={p.path === here ? 'page' : undefined}>
      {p.name}
    </a>
  ));
  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="shell-header">
        <Container size="xl" px="md">
          <Group h={56} justify="space-between" wrap="nowrap">
            <Group gap="lg" wrap="nowrap">
              <a className="brand" href={pages[0]?.path}>
                <Text c="var(--link)" span lh={0}>
                  <BellIcon size={22} />
                </Text>
                pgbell
              </a>
              <Group component="nav" aria-label="Pages" gap={4} wrap="nowrap" visibleFrom="sm">
                {links}
              </Group>
            </Group>
            <Group gap="xs" wrap="nowrap">
              <Scheme />
              <Burger
                hiddenFrom="sm"
                size="sm"
                opened={open}
                onClick={toggle}
                aria-label="Pages"
                aria-expanded={open}
                aria-controls="menu"
              />
            </Group>
          </Group>
          {open && (
            <Stack component="nav" id="menu" aria-label="Pages, as a menu" gap={4} pb="sm" hiddenFrom="sm">
              {links}
            </Stack>
          )}
        </Container>
      </header>
      <Container component="main" id="main" size="xl" px="md" py="lg" tabIndex={-1}>
        <Boundary>
          <Suspense fallback={<Waiting />}>{page()}</Suspense>
        </Boundary>
      </Container>
    </>
  );
}

export function Waiting() {
  return (
    <Center mih={320}>
      <Loader aria-label="Loading" color="teal" />
    </Center>
  );
}

const schemes = [
  { value: 'auto', label: 'Colours as the system has them', icon: <ScreenIcon size={16} /> },
  { value: 'light', label: 'Light', icon: <SunIcon size={16} /> },
  { value: 'dark', label: 'Dark', icon: <MoonIcon size={16} /> },
];

function Scheme() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <SegmentedControl
      size="xs"
      aria-label="Colours"
      value={colorScheme}
      onChange={(value) => setColorScheme(value as 'auto' | 'light' | 'dark')}
      data={schemes.map(({ value, label, icon }) => ({
        value,
        label: (
          <Center h={18} title={label}>
            {icon}
            <VisuallyHidden>{label}</VisuallyHidden>
          </Center>
        ),
      }))}
    />
  );
}

/** Says that a page has failed, in place of nothing at all. */
class Boundary extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};
  static getDerivedStateFromError(error: Error) {
    return { error };
  }
  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <Center mih={320} role="alert">
        <Stack gap="xs" align="center">
          <Text fw={600}>This page has failed.</Text>
          <Text size="sm" c="dimmed" className="wrap">
            {error.message}
          </Text>
          <a href={location.pathname} className="nav-link" aria-current="page">
            Load it again
          </a>
        </Stack>
      </Center>
    );
  }
}
