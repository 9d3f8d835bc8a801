import { Button, Chip, Code, CopyButton, Group, Stack, Text, TextInput } from '@mantine/core';
import { type KeyboardEvent, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { count } from '../format';
import { SearchIcon } from '../icons';
import { type Kind, type Line, type Log, matches, pretty, visible } from './log';

const lineHeight = 26;
const height = 420;
const marks: Record<Kind, string> = { in: '↓', out: '↑', note: '·', error: '!' };
const spoken: Record<Kind, string> = { in: 'in', out: 'out', note: 'note', error: 'error' };

const time = (at: number) => new Date(at).toISOString().slice(11, 23);

/** The live log: filters, one line for each frame, and the chosen frame in full. */
export function LogView({ log }: { log: Log }) {
  const lines = useSyncExternalStore(log.subscribe, log.lines);
  const [kinds, setKinds] = useState<Kind[]>(['in', 'out', 'note', 'error']);
  const [text, setText] = useState('');
  const [chosen, setChosen] = useState<Line | null>(null);
  const shown = useMemo(() => lines.filter((l) => matches(l, { kinds, text })), [lines, kinds, text]);

  return (
    <Stack gap="sm">
      <Group gap="sm" justify="space-between">
        <Group gap="sm">
          <TextInput
            aria-label="Filter"
            placeholder="Filter"
            leftSection={<SearchIcon size={14} />}
            value={text}
            onChange={(e) => setText(e.currentTarget.value)}
            size="xs"
            w={200}
          />
          <Chip.Group multiple value={kinds} onChange={(value) => setKinds(value as Kind[])}>
            <Group gap={4}>
              {(Object.keys(marks) as Kind[]).map((kind) => (
                <Chip key={kind} value={kind} size="xs" variant="light">
                  {spoken[kind]}
                </Chip>
              ))}
            </Group>
          </Chip.Group>
        </Group>
        <Group gap="sm">
          <Text size="xs" c="dimmed">
            {shown.length === lines.length
              ? count(lines.length, 'line')
              : `${shown.length} of ${count(lines.length, 'line')}`}
          </Text>
          <Button
            size="compact-sm"
            variant="default"
            onClick={() => {
              log.clear();
              setChosen(null);
            }}
          >
            Clear
          </Button>
        </Group>
      </Group>
      <Lines lines={shown} chosen={chosen} choose={setChosen} />
      <Frame line={chosen} />
    </Stack>
  );
}

interface LinesProps {
  lines: readonly Line[];
  chosen: Line | null;
  choose: (line: Line | null) => void;
}

/** Only what is seen is drawn. It follows the end until one scrolls up. */
function Lines({ lines, chosen, choose }: LinesProps) {
  const box = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const [top, setTop] = useState(0);
  const { start, end } = visible(top, height, lineHeight, lines.length);

  // biome-ignore lint/correctness/useExhaustiveDependencies: with each new line
  useEffect(() => {
    if (following.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);

  const at = chosen ? lines.findIndex((l) => l.n === chosen.n) : -1;
  const move = (event: KeyboardEvent) => {
    const last = lines.length - 1;
    const from = at < 0 ? lines.length : at;
    const to = { ArrowUp: from - 1, ArrowDown: from + 1, Home: 0, End: last, Escape: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = lines[Math.min(Math.max(to, event.key === 'Escape' ? -1 : 0), last)] ?? null;
    choose(next);
    if (!next || !box.current) return;
    following.current = false;
    const y = lines.indexOf(next) * lineHeight;
    if (y < box.current.scrollTop) box.current.scrollTop = y;
    else if (y + lineHeight > box.current.scrollTop + height) box.current.scrollTop = y + lineHeight - height;
  };

  return (
    <div style={{ position: 'relative' }}>
      <div
        ref={box}
        className="log mono"
        style={{ height }}
        role="listbox"
        aria-label="Frames"
        aria-activedescendant={at >= start && at < end ? `line-${chosen?.n}` : undefined}
        tabIndex={0}
        onKeyDown={move}
        onScroll={(e) => {
          const { scrollTop, scrollHeight, clientHeight } = e.currentTarget;
          following.current = scrollTop + clientHeight >= scrollHeight - lineHeight;
          setTop(scrollTop);
        }}
      >
        <div role="presentation" style={{ height: lines.length * lineHeight }}>
          {lines.slice(start, end).map((l, i) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the list takes the keys
            <div
              key={l.n}
              id={`line-${l.n}`}
              className="log-line"
              role="option"
              tabIndex={-1}
              aria-selected={l.n === chosen?.n}
              aria-setsize={lines.length}
              aria-posinset={start + i + 1}
              data-kind={l.kind}
              style={{ top: (start + i) * lineHeight, height: lineHeight }}
              onClick={() => choose(l)}
            >
              <span>{time(l.at)}</span>
              <span title={spoken[l.kind]}>{marks[l.kind]}</span>
              <span className="log-door">{l.door}</span>
              <span>
                {l.replayed && <b>replayed </b>}
                {l.event && <b>{l.event} </b>}
                {l.text}
              </span>
            </div>
          ))}
        </div>
      </div>
      {lines.length === 0 && (
        <Text size="sm" c="dimmed" ta="center" pos="absolute" top={height / 2 - 10} w="100%">
          Connect, and every frame is shown here.
        </Text>
      )}
    </div>
  );
}

/** The chosen frame. */
function Frame({ line }: { line: Line | null }) {
  if (!line)
    return (
      <Text size="xs" c="dimmed">
        Choose a line to see its frame in full.
      </Text>
    );
  return (
    <Stack gap={6}>
      <Group justify="space-between">
        <Text size="sm" fw={600}>
          {line.event || spoken[line.kind]} at {time(line.at)}
        </Text>
        <CopyButton value={line.text}>
          {({ copied, copy }) => (
            <Button size="compact-sm" variant="default" onClick={copy}>
              {copied ? 'Copied' : 'Copy the raw frame'}
            </Button>
          )}
        </CopyButton>
      </Group>
      <Code block mah={320} tabIndex={0} aria-label="Frame" className="frame">
        {pretty(line.text)}
      </Code>
    </Stack>
  );
}
