import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { clock } from '../format';
import { onTheme, token } from '../ui/theme';

export interface Line {
  label: string;
  /** A style sheet colour, e.g. --s0. */
  color: string;
  values: (number | null)[];
  fill?: boolean;
}

/**
 * Lines over time on a canvas. What it shows is also told by `summary`, and as a table where `table` is given.
 */
export function LineChart(props: { at: number[]; lines: Line[]; format: (value: number) => string; summary: string; height?: number; seconds?: number; time?: boolean; marks?: string[] }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const shape = props.lines.map((l) => l.label + l.color).join();
  const height = props.height ?? 180;

  useEffect(() => {
    const element = box.current!;
    const make = () => {
      plot.current?.destroy();
      const { lines, format } = latest.current;
      const time = latest.current.time !== false;
      const axis = { stroke: token('--ink-3'), grid: { stroke: token('--line'), width: 1 }, ticks: { show: false }, font: `11px ${token('--font')}` };
      plot.current = new uPlot(
        {
          width: Math.max(200, element.clientWidth),
          height,
          padding: [8, 18, 0, 0],
          legend: { show: false },
          cursor: { points: { size: 7 }, drag: { x: false, y: false }, y: false },
          scales: { x: { time, range: (_u, min, max) => range(latest.current, min, max) }, y: { range: (_u, _min, max) => [0, niceTop(max)] } },
          axes: [
            {
              ...axis,
              grid: { show: false },
              size: 24,
              space: 70,
              values: (_u, splits) => splits.map((s) => (time ? clock(s * 1000, spanOf(latest.current) < 600) : (latest.current.marks?.[s] ?? String(s)))),
            },
            { ...axis, size: 52, space: 36, values: (_u, splits) => splits.map((s) => latest.current.format(s)) },
          ],
          series: [
            { value: (_u, v) => (v === null ? '' : clock(v * 1000)) },
            ...lines.map((l) => ({
              label: l.label,
              stroke: token(l.color),
              width: 1.75,
              fill: l.fill ? token(l.color) + '1f' : undefined,
              points: { show: false },
              value: (_u: uPlot, v: number | null) => (v === null ? '' : format(v)),
            })),
          ],
          hooks: { setCursor: [(u) => showTip(u, latest.current)] },
        },
        data(latest.current),
        element,
      );
      const tip = document.createElement('div');
      tip.className = 'tip';
      tip.hidden = true;
      plot.current.over.appendChild(tip);
    };
    make();
    const resize = new ResizeObserver(() => plot.current?.setSize({ width: Math.max(200, element.clientWidth), height }));
    resize.observe(element);
    const unTheme = onTheme(() => requestAnimationFrame(make));
    return () => {
      resize.disconnect();
      unTheme();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, height]);

  useEffect(() => plot.current?.setData(data(props)), [props.at.length && props.at[props.at.length - 1], props.at.length, props.lines]);

  return (
    <figure class="chart">
      <figcaption class="legend">
        {props.lines.length > 1 &&
          props.lines.map((l) => (
            <span>
              <i class={'key ' + l.color.slice(2)} aria-hidden="true" />
              {l.label}
            </span>
          ))}
      </figcaption>
      <div class="canvas" ref={box} role="img" aria-label={props.summary} />
    </figure>
  );
}

type Props = Parameters<typeof LineChart>[0];

const spanOf = (props: Props) => (props.at.length < 2 ? 0 : (props.at[props.at.length - 1] - props.at[0]) / 1000);

function range(props: Props, min: number, max: number): [number, number] {
  if (!props.seconds) return [min, max === min ? min + 1 : max];
  const end = props.at.length > 0 ? props.at[props.at.length - 1] / 1000 : max;
  const span = spanOf(props);
  // It grows with what is known, so that a fresh start is no empty chart.
  return [end - Math.min(props.seconds, Math.max(60, span)), end];
}

function data(props: Props): uPlot.AlignedData {
  const x = props.time === false ? props.at : props.at.map((a) => a / 1000);
  return [x, ...props.lines.map((l) => l.values)] as uPlot.AlignedData;
}

/** The next of 1, 2, 2.5, 5, 10 times a power of ten, so that the axis seldom moves. */
export function niceTop(max: number): number {
  if (!(max > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  for (const step of [1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10]) if (max <= step * power * 0.98) return step * power;
  return 10 * power;
}

function showTip(u: uPlot, props: Props) {
  const tip = u.over.querySelector<HTMLDivElement>('.tip');
  if (!tip) return;
  const { idx, left = -1 } = u.cursor;
  if (idx === null || idx === undefined || left < 0) {
    tip.hidden = true;
    return;
  }
  const at = props.time === false ? (props.marks?.[idx] ?? String(props.at[idx])) : clock(props.at[idx]);
  tip.replaceChildren(...[at, ...props.lines.filter((l) => l.values[idx] != null).map((l) => `${l.label}  ${props.format(l.values[idx]!)}`)].map(line));
  tip.hidden = false;
  tip.style.left = `${Math.min(left + 12, u.over.clientWidth - tip.offsetWidth - 4)}px`;
  tip.style.top = '4px';
}

function line(text: string) {
  const div = document.createElement('div');
  div.textContent = text;
  return div;
}
