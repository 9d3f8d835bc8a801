import { Badge, type CSSVariablesResolver, createTheme } from '@mantine/core';

export const theme = createTheme({
  primaryColor: 'teal',
  primaryShade: { light: 9, dark: 9 },
  autoContrast: true,
  respectReducedMotion: true,
  defaultRadius: 'md',
  cursorType: 'pointer',
  headings: { fontWeight: '650' },
  components: {
    Notification: { styles: { description: { color: 'var(--mantine-color-text)' } } },
    Badge: Badge.extend({
      styles: { root: { minWidth: 'max-content' } },
      // The library's dots are too dark to be told apart on dark.
      vars: (_, { variant, color }) => ({
        root: variant === 'dot' ? { '--badge-dot-color': `var(--mantine-color-${color}-text)` } : {},
        dot: {},
      }),
    }),
    Tabs: { styles: { list: { flexWrap: 'nowrap', overflowX: 'auto', overflowY: 'hidden' } } },
    Tooltip: { defaultProps: { withArrow: true, openDelay: 200 } },
  },
});

/** The library's dimmed text, its errors and its buttons under a pointer are too faint to read. */
export const variables: CSSVariablesResolver = () => ({
  variables: {
    '--mantine-primary-color-filled-hover': 'var(--mantine-color-teal-filled)',
    '--mantine-color-teal-filled-hover': 'var(--mantine-color-teal-filled)',
  },
  light: {
    '--mantine-color-dimmed': 'var(--mantine-color-gray-7)',
    '--mantine-color-placeholder': 'var(--mantine-color-gray-7)',
    '--mantine-color-error': 'var(--mantine-color-red-9)',
    '--page': 'var(--mantine-color-gray-0)',
    '--raised': 'var(--mantine-color-white)',
    '--line': 'var(--mantine-color-gray-3)',
    '--link': '#066649',
    '--mantine-color-teal-light-color': '#066649',
    '--flash': 'rgba(18, 184, 134, 0.22)',
  },
  dark: {
    '--mantine-color-dimmed': 'var(--mantine-color-dark-0)',
    '--mantine-color-placeholder': 'var(--mantine-color-dark-1)',
    '--mantine-color-error': 'var(--mantine-color-red-4)',
    '--page': 'var(--mantine-color-dark-8)',
    '--raised': 'var(--mantine-color-dark-7)',
    '--line': 'var(--mantine-color-dark-4)',
    '--link': 'var(--mantine-color-teal-3)',
    '--flash': 'rgba(18, 184, 134, 0.28)',
  },
});
