import { useEffect, useRef, useState } from 'preact/hooks';
import { clock, measure as formatMeasure } from '../format';
import { seriesClass } from './colors';
import { niceTop } from './LineChart';
import type { Windows } from './windows';

const LEFT = 48;
const BOTTOM = 22;
const TOP = 10;

/** Bars by window, stacked by key; open windows are lighter and fill while one watches. */
export function WindowChart(props: { windows: Windows; measure: number; stacked: boolean; height?: number; most?: number }) {
  const box = useRef<HTMLDivElement>(null);
  const colors = useRef(new Map<string, number>());
  const scale = useRef(0);
  const [width, setWidth] = useState(640);
  const [focus, setFocus] = useState<number | null>(null);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const toggle = (key: string) => {
    const next = new Set(hidden);
    if (!next.delete(key)) next.add(key);
    setHidden(next);
    scale.current = 0;
  };
  const height = props.height ?? 236;
  useEffect(() => {
    const resize = new ResizeObserver(() => setWidth(Math.max(240, box.current!.clientWidth)));
    resize.observe(box.current!);
    return () => resize.disconnect();
  }, []);

  const fit = Math.max(6, Math.floor((width - LEFT) / 26));
  const bars = props.windows.bars.slice(-fit);
  const known = props.windows.keys(props.measure, props.most ?? 8);
  const keys = known.filter((k) => !hidden.has(k));
  // A key keeps its colour while it is shown; a new one takes the first that is free.
  for (const key of colors.current.keys()) if (!known.includes(key)) colors.current.delete(key);
  for (const key of known) {
    if (colors.current.has(key)) continue;
    const taken = new Set(colors.current.values());
    let free = 0;
    while (taken.has(free)) free++;
    colors.current.set(key, free);
  }
  const color = (key: string) => seriesClass(colors.current.get(key) ?? 0);
  const value = (bar: (typeof bars)[0], key: string) => bar.values.get(key)?.[props.measure] || 0;
  const size = (bar: (typeof bars)[0]) => keys.reduce((n, k) => (props.stacked ? n + value(bar, k) : Math.max(n, value(bar, k))), 0);
  const top = niceTop(Math.max(0, ...bars.map(size)));
  // Shrink only when much room is empty, so that the axis is calm.
  if (top > scale.current || top < scale.current / 2) scale.current = top;
  const y = (v: number) => TOP + (height - TOP - BOTTOM) * (1 - v / scale.current);
  const step = (width - LEFT - 4) / Math.max(bars.length, fit > 12 ? 12 : fit);
  const x = (i: number) => width - 4 - (bars.length - i) * step;
  const shown = focus !== null ? bars.find((b) => b.at === focus) : undefined;
  const last = bars[bars.length - 1];

  return (
    <figure class="chart windows">
      <figcaption class="legend">
        {known.map((key) => (
          <button type="button" aria-pressed={!hidden.has(key)} onClick={() => toggle(key)} title={hidden.has(key) ? 'Show it' : 'Leave it out'}>
            <i class={'key ' + color(key)} aria-hidden="true" />
            {key || props.windows.measures[props.measure]}
            <b>{formatMeasure(value(shown ?? last, key))}</b>
          </button>
        ))}
      </figcaption>
      <div ref={box} class="canvas" onMouseLeave={() => setFocus(null)}>
        <svg
          width={width}
          height={height}
          role="img"
          aria-label={`${props.windows.measures[props.measure]} by window${props.windows.keyNames.length ? ' and ' + props.windows.keyNames.join(', ') : ''}: ${bars.length} windows; the newest, ${last ? clock(last.at, false) : 'none'}, ${last ? formatMeasure(size(last)) : ''}. The table below has the figures.`}
        >
          {[0, 0.5, 1].map((share) => (
            <g>
              <line class="gridline" x1={LEFT} x2={width} y1={y(scale.current * share)} y2={y(scale.current * share)} />
              <text class="tick right" x={LEFT - 8} y={y(scale.current * share) + 4}>
                {formatMeasure(scale.current * share)}
              </text>
            </g>
          ))}
          {bars.map((bar, i) => {
            let floor = 0;
            const gap = Math.min(8, step * 0.25);
            return (
              <g key={bar.at} class={(bar.open ? 'open ' : '') + (shown === bar ? 'focus' : '')} onMouseEnter={() => setFocus(bar.at)}>
                <rect class="hit" x={x(i)} y={TOP} width={step} height={height - TOP - BOTTOM} />
                {props.stacked
                  ? keys.map((key) => {
                      const v = value(bar, key);
                      if (v <= 0) return null;
                      const from = y(floor);
                      floor += v;
                      return <rect class={'bar ' + color(key)} x={x(i) + gap / 2} y={y(floor)} width={step - gap} height={Math.max(0.5, from - y(floor) - (from - y(floor) > 3 ? 1 : 0))} rx={1.5} />;
                    })
                  : keys.map((key, k) => {
                      const v = value(bar, key);
                      const w = (step - gap) / keys.length;
                      return v > 0 && <rect class={'bar ' + color(key)} x={x(i) + gap / 2 + k * w} y={y(v)} width={Math.max(1, w - 1)} height={y(0) - y(v)} rx={1} />;
                    })}
                {(bars.length - 1 - i) % Math.ceil(64 / step) === 0 && (
                  <text class={i === bars.length - 1 && step < 60 ? 'tick right' : 'tick mid'} x={i === bars.length - 1 && step < 60 ? x(i) + step : x(i) + step / 2} y={height - 6}>
                    {clock(bar.at, spansSeconds(bars))}
                  </text>
                )}
              </g>
            );
          })}
        </svg>
      </div>
      <details class="behind">
        <summary>As a table</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label="Figures of the chart">
          <table>
            <thead>
              <tr>
                <th scope="col">window</th>
                {keys.map((k) => (
                  <th scope="col" class="right">{k || props.windows.measures[props.measure]}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {[...bars].reverse().slice(0, 20).map((bar) => (
                <tr key={bar.at}>
                  <th scope="row">
                    {clock(bar.at)} {bar.open && <span class="soft">open</span>}
                  </th>
                  {keys.map((k) => (
                    <td class="right">{formatMeasure(value(bar, k))}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

const spansSeconds = (bars: { at: number }[]) => bars.length > 1 && bars[1].at - bars[0].at < 60_000;
