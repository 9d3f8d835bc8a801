import { Alert, Center, Group, Skeleton, Stack, Table, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import type { Polled } from './poll';

/** Shows an answer, or that it is on its way, or why there is none. */
export function Answered<T>({ of, children }: { of: Polled<T>; children: (data: T) => ReactNode }) {
  const { data, error } = of;
  return (
    <Stack gap="md">
      {error && (
        <Alert color="red" p="xs" title={data ? 'What you see is not the latest' : 'There is no answer'}>
          {error.message}
        </Alert>
      )}
      {data !== undefined ? children(data) : !error && <Loading />}
    </Stack>
  );
}

function Loading() {
  return (
    <Stack gap="sm" aria-busy="true" mih={160}>
      {[1, 2, 3, 4].map((n) => (
        <Skeleton key={n} h={28} />
      ))}
    </Stack>
  );
}

interface Column<Row> {
  name: string;
  value: (row: Row) => ReactNode;
  right?: boolean;
}

interface GridProps<Row> {
  label: string;
  rows: readonly Row[];
  id: (row: Row) => string;
  columns: readonly Column<Row>[];
  empty: string;
}

/** A table that scrolls by itself where it is too wide. */
export function Grid<Row>({ label, rows, id, columns, empty }: GridProps<Row>) {
  if (rows.length === 0)
    return (
      <Center py="md">
        <Text size="sm" c="dimmed">
          {empty}
        </Text>
      </Center>
    );
  return (
    <Table.ScrollContainer
      minWidth={0}
      scrollAreaProps={{ viewportProps: { tabIndex: 0, role: 'group', 'aria-label': label } }}
    >
      <Table aria-label={label} verticalSpacing={6} horizontalSpacing="sm" style={{ whiteSpace: 'nowrap' }}>
        <Table.Thead>
          <Table.Tr>
            {columns.map((c) => (
              <Table.Th key={c.name} ta={c.right ? 'right' : undefined}>
                <Text size="xs" c="dimmed" fw={600} span>
                  {c.name}
                </Text>
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <Table.Tr key={id(row)}>
              {columns.map((c) => (
                <Table.Td key={c.name} ta={c.right ? 'right' : undefined}>
                  {c.value(row)}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

export function Section({
  title,
  aside,
  children,
}: {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
}) {
  return (
    <Stack gap={6} component="section" aria-label={title} miw={0}>
      <Group justify="space-between">
        <Text fw={600} size="sm">
          {title}
        </Text>
        {aside && (
          <Text size="xs" c="dimmed">
            {aside}
          </Text>
        )}
      </Group>
      {children}
    </Stack>
  );
}
