import { Stack, Text } from '@mantine/core';
import type { ReactNode } from 'react';

/** One part of the panel. */
export function Box({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Stack className="card" component="section" aria-label={title} gap="sm" p="md" miw={0}>
      <Text fw={600} size="sm">
        {title}
      </Text>
      {children}
    </Stack>
  );
}
