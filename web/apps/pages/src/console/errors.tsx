import { SimpleGrid, Text } from '@mantine/core';
import { clock, count } from '../format';
import { doorName, type Errors } from './answers';
import { Answered, Grid, Section } from './parts';
import { usePolled } from './poll';

/** What clients were told, by code and one by one. */
export function ErrorsView() {
  const errors = usePolled<Errors>('api/socket/errors', 3000);
  return (
    <Answered of={errors}>
      {({ total, retryable, since, byCode, recent }) => (
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
          <Section
            title="By code"
            aside={`${count(total, 'error')} since ${clock(since)}, ${retryable} retryable`}
          >
            <Grid
              label="Errors by code"
              rows={Object.entries(byCode).sort(([, a], [, b]) => b.count - a.count)}
              id={([code]) => code}
              empty="Nobody was told of an error."
              columns={[
                { name: 'Code', value: ([code]) => <span className="mono">{code}</span> },
                { name: 'Client does', value: ([, e]) => e.action },
                { name: 'Last', value: ([, e]) => clock(e.last), right: true },
                { name: 'Count', value: ([, e]) => e.count, right: true },
              ]}
            />
          </Section>
          <Section title="The last ones" aside={recent.length > 15 ? `15 of ${recent.length}` : undefined}>
            <Grid
              label="The last errors"
              rows={recent.slice(0, 15)}
              id={(e) => `${e.at} ${e.code} ${e.userId}`}
              empty="There were none."
              columns={[
                { name: 'At', value: (e) => clock(e.at) },
                {
                  name: 'What',
                  value: (e) => (
                    <Text size="sm" truncate maw={320} title={e.message}>
                      {e.message}
                    </Text>
                  ),
                },
                { name: 'User', value: (e) => e.userId ?? '–' },
                { name: 'Door', value: (e) => (e.transport ? doorName(e.transport) : 'HTTP') },
              ]}
            />
          </Section>
        </SimpleGrid>
      )}
    </Answered>
  );
}
