import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import './pages.css';
import { MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { theme, variables } from './theme';
import { toastLimit } from './toasts';

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto">
      <Notifications limit={toastLimit} position="bottom-right" aria-live="polite" />
      <App />
    </MantineProvider>
  </StrictMode>,
);
