import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';

export function Panel(props: { title: string; note?: ComponentChildren; actions?: ComponentChildren; class?: string; id?: string; children: ComponentChildren }) {
  const id = 'h-' + (props.id ?? props.title.toLowerCase().replace(/\W+/g, '-'));
  return (
    <section class={'panel ' + (props.class ?? '')} aria-labelledby={id}>
      <header>
        <h2 id={id}>{props.title}</h2>
        {props.note && <span class="note">{props.note}</span>}
        {props.actions && <div class="actions">{props.actions}</div>}
      </header>
      {props.children}
    </section>
  );
}

const STATES: Record<string, string> = {
  running: 'good', starting: 'info', paused: 'warn', stopping: 'info', stopped: 'idle', failed: 'bad', firing: 'bad', quiet: 'good', stable: 'good', empty: 'idle', waiting: 'warn',
  leader: 'good', follower: 'info', learner: 'idle', silent: 'bad', candidate: 'warn', precandidate: 'warn',
};

/** A state as colour and word; the dot alone never says it. */
export function Chip(props: { state: string; text?: string; title?: string }) {
  return (
    <span class={'chip ' + (STATES[props.state] ?? 'info')} title={props.title}>
      <i aria-hidden="true" />
      {props.text ?? props.state}
    </span>
  );
}

export function Empty(props: { title: string; children?: ComponentChildren; command?: string }) {
  return (
    <div class="empty">
      <p class="strong">{props.title}</p>
      {props.children && <p>{props.children}</p>}
      {props.command && <Command text={props.command} />}
    </div>
  );
}

export function Command(props: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(props.text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <div class="command">
      <code>{props.text}</code>
      <button type="button" class="quiet" onClick={() => void copy()} aria-label={`Copy ${props.text}`}>
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}

export function ProblemNote(props: { problem: { title: string; detail: string; hint?: string } }) {
  return (
    <div class="problem" role="alert">
      <p class="strong">{props.problem.title}</p>
      <p>{props.problem.detail}</p>
      {props.problem.hint && <p class="soft">{props.problem.hint}</p>}
    </div>
  );
}

/** A line without axes; the figure beside it says the value, so it is hidden from screen readers. */
export function Sparkline(props: { values: (number | null)[]; width?: number; height?: number }) {
  const width = props.width ?? 160;
  const height = props.height ?? 34;
  const values = props.values.slice(-120);
  let top = 0;
  for (const v of values) if (v !== null && v > top) top = v;
  if (values.length < 2 || top === 0) return <svg class="spark" viewBox={`0 0 ${width} ${height}`} aria-hidden="true" preserveAspectRatio="none" />;
  const step = width / (values.length - 1);
  let line = '';
  let open = false;
  values.forEach((v, i) => {
    if (v === null) {
      open = false;
      return;
    }
    line += `${open ? 'L' : 'M'}${(i * step).toFixed(1)} ${(height - 2 - (v / top) * (height - 5)).toFixed(1)}`;
    open = true;
  });
  const first = values.findIndex((v) => v !== null);
  const area = open && !line.slice(1).includes('M') ? `${line}L${width} ${height}L${(first * step).toFixed(1)} ${height}Z` : '';
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} aria-hidden="true" preserveAspectRatio="none">
      {area && <path class="area" d={area} />}
      <path class="line" d={line} />
    </svg>
  );
}

export function Tile(props: { label: string; value: string; unit?: string; sub?: ComponentChildren; tone?: string; series?: (number | null)[]; href?: string }) {
  return (
    <div class={'tile ' + (props.tone ?? '')}>
      <dt>{props.label}</dt>
      <dd>
        <span class="figure">
          {props.value}
          {props.unit && <small> {props.unit}</small>}
        </span>
        <span class="sub">{props.sub}</span>
      </dd>
      {props.series && <Sparkline values={props.series} />}
    </div>
  );
}

/** A bar of a share, with its figure as text beside it. */
export function Meter(props: { share: number; label: string }) {
  return (
    <svg class="meter" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={props.label}>
      <rect class="track" width="100" height="4" rx="1" />
      <rect class="fill" width={Math.max(0, Math.min(1, props.share)) * 100} height="4" rx="1" />
    </svg>
  );
}

export interface Col<T> {
  name: string;
  cell: (row: T) => ComponentChildren;
  right?: boolean;
  wide?: boolean;
}

/** A table that scrolls by itself and can be reached with the keyboard. */
export function Grid<T>(props: { label: string; columns: Col<T>[]; rows: T[]; rowKey: (row: T, index: number) => string; tall?: boolean }) {
  return (
    <div class={'scroll' + (props.tall ? ' tall' : '')} tabIndex={0} role="region" aria-label={props.label}>
      <table>
        <thead>
          <tr>
            {props.columns.map((c) => (
              <th scope="col" class={c.right ? 'right' : undefined}>
                {c.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.rows.map((row, i) => (
            <tr key={props.rowKey(row, i)}>
              {props.columns.map((c) => (
                <td class={(c.right ? 'right ' : '') + (c.wide ? 'wide' : '')}>{c.cell(row)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Choice(props: { label: string; value: string; options: { value: string; text: string }[]; onChange: (value: string) => void }) {
  return (
    <div class="choice" role="group" aria-label={props.label}>
      {props.options.map((o) => (
        <button type="button" aria-pressed={o.value === props.value} onClick={() => props.onChange(o.value)}>
          {o.text}
        </button>
      ))}
    </div>
  );
}

const ICONS: Record<string, JSX.Element> = {
  overview: <path d="M4 13h4l2.5-7 4 12 2.5-8H20" />,
  jobs: <path d="M5 5.500h5v4H5zM14 14.500h5v4h-5zM10 7.500h3.500a2 2 0 0 1 2 2v5" />,
  sql: <path d="m5 8 4 4-4 4M12 16.500h7" />,
  tables: <path d="M4.5 6h15v12h-15zM4.5 10h15M4.5 14h15M10 10v8" />,
  topics: <path d="M4.5 7.500h11M4.5 12h15M4.5 16.500h8M18 7.500h1.500M15.5 16.500h4" />,
  alerts: <path d="M6.5 16.500V11a5.5 5.5 0 0 1 11 0v5.500l1.5 1.500H5zM10.5 20.500h3" />,
  cluster: <path d="M12 4.500a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM6.5 15.500a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM17.5 15.500a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM11 8.300l-3.500 7.300M13 8.300l3.500 7.300M8.5 17.500h7" />,
  api: <path d="M8.5 7.5 4 12l4.5 4.500M15.5 7.5 20 12l-4.5 4.500M13.3 5.500l-2.6 13" />,
  source: <path d="M5 12h11M12 7.5 16.5 12 12 16.500M19.5 6v12" />,
  checks: <path d="M12 4.5 18.5 7v5c0 4-2.8 6.5-6.5 7.800C8.3 18.5 5.5 16 5.5 12V7zM9 12l2.2 2.200L15 10" />,
  query: <path d="M6 5v5a3 3 0 0 0 3 3h6a3 3 0 0 1 3 3v3M18 5v3M6 16v3M4 7l2-2 2 2M16 17l2 2 2-2" />,
  sink: <path d="M5 7c0-1.6 3.1-2.5 7-2.500S19 5.4 19 7v10c0 1.6-3.1 2.5-7 2.500S5 18.6 5 17zM5 7c0 1.6 3.1 2.5 7 2.500S19 8.6 19 7M5 12c0 1.6 3.1 2.5 7 2.500s7-.9 7-2.5" />,
  quarantine: <path d="M12 4.5 20 18.500H4zM12 10v4M12 16.200v.3" />,
  late: <path d="M12 5a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM12 8.500V12l2.5 2" />,
  alert: <path d="M6.5 16.500V11a5.5 5.5 0 0 1 11 0v5.500l1.5 1.500H5zM10.5 20.500h3" />,
};

export function Icon(props: { name: string }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      {ICONS[props.name] ?? ICONS.query}
    </svg>
  );
}
