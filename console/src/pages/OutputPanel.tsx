import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { post, type Cell, type Job, type JobDetail, type LiveOutput, type Output, type SqlReply } from '../api';
import { WindowChart } from '../charts/WindowChart';
import { roles, Windows } from '../charts/windows';
import { cell, plural } from '../format';
import { useFetched } from '../live/fetched';
import { useLive } from '../live/store';
import { Choice, Empty, Grid, Panel } from '../ui/parts';

/** Rows of the table's past that the chart starts with. */
const PAST = 1500;

/** One output: its windows as bars that fill live, or its newest rows. */
export function OutputPanel(props: { job: string; output: string }) {
  const live = useLive();
  const frame = live.outputs.get(props.job)?.get(props.output);
  const job = live.jobs?.find((j) => j.name === props.job);
  const sink = job?.sinks.find((s) => s.input === props.output && s.target.startsWith('iceberg:'));
  const { value: detail } = useFetched<JobDetail>(`/api/jobs/${encodeURIComponent(props.job)}`);
  const windows = useMemo(() => new Windows(), [props.job, props.output]);
  const [measure, setMeasure] = useState(0);
  const taken = useRef<unknown>(null);
  if (frame && taken.current !== frame) {
    taken.current = frame;
    windows.take(frame);
  }
  const ready = frame !== undefined;
  useEffect(() => {
    const table = sink && tableOf(sink.target);
    if (!table || !frame) return;
    const { window } = roles(frame);
    if (window < 0) return;
    const start = quote(frame.columns[window].name);
    const since = windows.since();
    const newer = since === null ? '' : ` WHERE ${start} >= TIMESTAMPTZ '${new Date(since).toISOString()}'`;
    const sql = `SELECT ${frame.columns.map((c) => quote(c.name)).join(', ')} FROM ${table}${newer} ORDER BY ${start} DESC LIMIT ${PAST}`;
    post<SqlReply>('/api/sql', { sql, maxRows: PAST }).then(
      (reply) => windows.history(frame, reply.columns.map((c) => c.name), reply.rows, reply.rowCount >= PAST),
      () => undefined, // Without the table's past the chart starts with what is live.
    );
  }, [ready, sink?.lastCommit, windows]);

  const open = job?.outputs.find((o) => o.name === props.output)?.openWindows ?? 0;
  const query = detail?.plan.nodes.find((n) => n.kind === 'query' && n.name === props.output)?.detail ?? '';
  const name = windows.measures[measure] ?? '';
  return (
    <Panel
      title={props.output} id={'output-' + props.output} class="output"
      note={frame && (roles(frame).window >= 0 ? `${plural(open, 'open window')} · ${plural(frame.total, 'live row')}` : 'newest rows')}
      actions={windows.measures.length > 1 && (
        <Choice label="Measure" value={String(measure)} onChange={(v) => setMeasure(Number(v))} options={windows.measures.slice(0, 4).map((m, i) => ({ value: String(i), text: m }))} />
      )}
    >
      {!frame && <Empty title="Waiting for the first rows" />}
      {frame && roles(frame).window >= 0 && windows.bars.length > 0 && windows.measures.length > 0 && (
        <WindowChart windows={windows} measure={Math.min(measure, windows.measures.length - 1)} stacked={adds(query, name)} />
      )}
      {frame && (roles(frame).window < 0 || (windows.bars.length > 0 && windows.measures.length === 0)) && (
        <Newest frame={frame} />
      )}
      {frame && roles(frame).window >= 0 && windows.bars.length === 0 && <Empty title="No window yet">The first one shows with the first good row.</Empty>}
    </Panel>
  );
}

/** Rows go by too fast to read ten times a second: they are shown anew each second. */
function Newest(props: { frame: LiveOutput }) {
  const shown = useRef(props.frame);
  const at = useRef(0);
  if (performance.now() - at.current >= 1000) {
    shown.current = props.frame;
    at.current = performance.now();
  }
  const { columns, roles: parts, rows, output } = shown.current;
  return (
    <Grid
      label={`Newest rows of ${output}`} tall rows={rows.slice(0, 25)} rowKey={(_, i) => String(i)}
      columns={columns.map((c, i) => ({ name: c.name, right: parts[i] === 'measure', cell: (row: Cell[]) => cell(row[i]) }))}
    />
  );
}

/** What queries make comes first; a source that a sink reads directly is an output too, and stands last. */
export function shownOutputs(job: Job): Output[] {
  const plain = (o: Output) => Number(job.sources.some((s) => s.name === o.name));
  return [...job.outputs].sort((a, b) => plain(a) - plain(b));
}

/** Sums and counts of keys add up to a whole, so they may stand on one another; averages and extremes may not. */
export function adds(sql: string, measure: string): boolean {
  if (!sql) return true;
  const alias = new RegExp(`(\\w+)\\s*\\((?:[^()]|\\([^()]*\\))*\\)\\s*(?:::\\w+\\s*)?(?:as\\s+)?"?${measure.replace(/\W/g, '.')}"?\\b`, 'i').exec(sql);
  return alias === null || /^(sum|count|count_if)$/i.test(alias[1]);
}

const quote = (name: string) => `"${name.replace(/"/g, '""')}"`;

function tableOf(target: string): string | null {
  const name = /^iceberg:([^?]+)/.exec(target)?.[1];
  return name ? name.split('.').map(quote).join('.') : null;
}
