import 'uplot/dist/uPlot.min.css';
import { Group, Text, useComputedColorScheme } from '@mantine/core';
import { useEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import { duration } from '../format';
import { type Band, ceiling, stack } from './scale';

export type Hue = 'teal' | 'blue' | 'grape' | 'orange' | 'red' | 'gray' | 'yellow';

export interface Series {
  name: string;
  hue: Hue;
  /** One for each place on the x axis; null where there is none. */
  values: Band;
  /** Whether the area below the line is filled. */
  fill?: boolean;
  dashed?: boolean;
}

export interface ChartProps {
  /** What is shown, for those who cannot see it, too. */
  label: string;
  /** Seconds since 1970 with `time`, else just numbers. */
  x: readonly number[];
  series: readonly Series[];
  format: (value: number) => string;
  /** The same in few characters, for the axis. Default: format. */
  tick?: (value: number) => string;
  time?: boolean;
  height?: number;
  /** The series lie on each other. */
  stacked?: boolean;
  /** Values hold until the next one. */
  steps?: boolean;
  /** The top of the y axis is no lower than this. */
  least?: number;
  /** Where the y axis ends. Default: a round number above the values. */
  top?: number;
  /** What to say while there is nothing. */
  empty?: string;
}

/** A chart of lines or areas, with a legend that says the values under the pointer. */
export function Chart(props: ChartProps) {
  const { label, x, series, format, height = 160, stacked = false, steps = false, time = false } = props;
  const { least = 0, top, empty = 'Nothing yet', tick = format } = props;
  const scheme = useComputedColorScheme('light');
  const shade = scheme === 'dark' ? 4 : 7;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const shape = series.map((s) => `${s.name} ${s.hue} ${s.fill} ${s.dashed}`).join();
  const data = useMemo(() => {
    const values = series.map((s) => s.values);
    return [x, ...(stacked ? stack(values) : values)] as uPlot.AlignedData;
  }, [x, series, stacked]);
  const latest = useRef({ series, tick, least, top, data });
  latest.current = { series, tick, least, top, data };

  // biome-ignore lint/correctness/useExhaustiveDependencies: shape stands for the series, whose values come below
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const colour = colours(element);
    const options: uPlot.Options = {
      width: element.clientWidth,
      height,
      pxAlign: false,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
      padding: [8, 16, time ? 0 : 8, 0],
      scales: {
        x: { time, ...(time && { range: (_, from, to) => [Math.min(from, to - shortest), to] }) },
        y: {
          range: (_, __, most) => {
            const { least, top } = latest.current;
            return [0, top ?? ceiling(Math.max(most ?? 0, least))];
          },
        },
      },
      axes: [
        {
          ...axis(colour),
          space: 70,
          size: 28,
          ...(time ? { values: times } : { show: false, size: 0 }),
        },
        {
          ...axis(colour),
          size: 56,
          space: 34,
          values: (_, splits) => splits.map((v) => latest.current.tick(v)),
        },
      ],
      series: [
        {},
        ...latest.current.series.map(({ hue, fill, dashed }) => ({
          stroke: colour(`${hue}-${shade}`),
          width: 1.75,
          ...(fill && { fill: `${colour(`${hue}-${scheme === 'dark' ? 4 : 6}`)}40` }),
          ...(dashed && { dash: [5, 4] }),
          points: { show: false },
          ...(steps && uPlot.paths.stepped && { paths: uPlot.paths.stepped({ align: -1 }) }),
        })),
      ],
      // Of those that lie on each other each is filled down to the one below.
      ...(stacked && {
        bands: latest.current.series
          .slice(1)
          .map((_, i) => ({ series: [i + 2, i + 1] as uPlot.Band.Bounds })),
      }),
      hooks: { setCursor: [(u) => setAt(u.cursor.idx ?? null)] },
    };
    const made = new uPlot(options, latest.current.data, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, scheme, height, steps, time, stacked]);

  useEffect(() => plot.current?.setData(data), [data]);

  const last = x.length - 1;
  const shown = at !== null && at <= last ? at : last;
  return (
    <figure className="chart" aria-label={label}>
      <Group component="figcaption" gap="2px 12px" mb={4} mih={20} wrap="wrap">
        {series.map(({ name, hue, values }) => (
          <Group key={name} gap={6} wrap="nowrap">
            <span className="swatch" style={{ background: `var(--mantine-color-${hue}-${shade})` }} />
            <Text size="xs" c="dimmed" span>
              {name}
            </Text>
            <Text size="xs" fw={600} span>
              {values[shown] == null ? '–' : format(values[shown] as number)}
            </Text>
          </Group>
        ))}
      </Group>
      <div className="chart-canvas" style={{ height }} ref={box} aria-hidden="true" />
      {x.length === 0 && (
        <Text size="sm" c="dimmed" ta="center" mt={-height / 2 - 10} mb={height / 2 - 10}>
          {empty}
        </Text>
      )}
    </figure>
  );
}

type Colour = (name: string) => string;

/** The theme's colours, as canvases want them. */
function colours(element: HTMLElement): Colour {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(`--mantine-color-${name}`).trim();
}

function axis(colour: Colour): uPlot.Axis {
  const line = { stroke: `${colour('gray-6')}30`, width: 1 };
  return {
    stroke: colour('dimmed'),
    font: '11px system-ui, sans-serif',
    grid: line,
    ticks: { show: false },
    border: { show: false },
    gap: 6,
  };
}

const clocks = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hour12: false });
const seconds = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hour12: false });

function times(_: uPlot, splits: number[], __: number, ___: number, step: number): string[] {
  return splits.map((s) => (step < 60 ? seconds : clocks).format(s * 1000));
}

/** A time axis shows at least so many seconds, so that the first samples do not fill it. */
const shortest = 120;

/** Milliseconds on an axis. */
export const delays = (ms: number): string => (ms === 0 ? '0' : duration(ms));
