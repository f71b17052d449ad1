import { useEffect, useState } from 'preact/hooks';
import { get, type Job, type JobDetail, type Plan, type Table } from '../api';
import { OutputPanel, shownOutputs } from './OutputPanel';
import { QuarantinePanel } from './QuarantinePanel';
import { LineChart } from '../charts/LineChart';
import { ago, bytes, count, duration, integer, millis, percent, plural, rate } from '../format';
import { Graph } from '../graph/Graph';
import { useFetched } from '../live/fetched';
import { lag, perSecond } from '../live/series';
import { live, useLive } from '../live/store';
import { link } from '../router';
import { Chip, Choice, Command, Empty, Grid, Panel, Tile } from '../ui/parts';

export function Overview() {
  const { jobs } = useLive(1000);
  const [picked, pick] = useState<string | null>(null);
  const job = jobs?.find((j) => j.name === picked) ?? jobs?.find((j) => j.state === 'running') ?? jobs?.[0];
  useEffect(() => live.watch(job?.name ?? null), [job?.name]);
  return (
    <div class="page">
      <div class="top">
        <h1>Overview</h1>
        {jobs && jobs.length > 0 && <p class="soft">{summary(jobs)}</p>}
      </div>
      <Tiles />
      {jobs?.length === 0 && (
        <div class="panel">
          <Empty title="Nothing runs yet">Start the demonstration, or a pipeline of your own:</Empty>
          <div class="pad">
            <Command text="./millrace demo" />
            <Command text="./millrace run examples/orders.yaml" />
          </div>
        </div>
      )}
      {job && (
        <>
          {jobs!.length > 1 && (
            <Choice label="Pipeline" value={job.name} onChange={pick} options={jobs!.map((j) => ({ value: j.name, text: j.name }))} />
          )}
          <JobGraph job={job} />
          <div class="split wide-left">
            {shownOutputs(job).slice(0, 1).map((o) => (
              <OutputPanel key={job.name + o.name} job={job.name} output={o.name} />
            ))}
            <QuarantinePanel job={job.name} rows={8} />
          </div>
          {shownOutputs(job).slice(1, 3).map((o) => (
            <OutputPanel key={job.name + o.name} job={job.name} output={o.name} />
          ))}
        </>
      )}
      <div class="split">
        <Throughput />
        <LatencyPanel />
      </div>
      <TablesPanel jobs={jobs ?? []} />
    </div>
  );
}

function summary(jobs: Job[]) {
  const running = jobs.filter((j) => j.state === 'running').length;
  const firing = jobs.reduce((n, j) => n + j.alerts.filter((a) => a.firing).length, 0);
  return `${running === jobs.length ? plural(running, 'pipeline') : `${running} of ${plural(jobs.length, 'pipeline')}`} running${firing ? `, ${plural(firing, 'alert')} firing` : ''}`;
}

function Tiles() {
  const { jobs, process, series, now } = useLive(400);
  const list = jobs ?? [];
  const events = list.reduce((n, j) => n + perSecond(j), 0);
  const behind = list.reduce((n, j) => n + lag(j), 0);
  const [taken, bad] = list.flatMap((j) => j.sources).reduce(([i, q], s) => [i + s.in, q + s.quarantined], [0, 0]);
  const running = list.filter((j) => j.state === 'running');
  const worst = (pick: (j: Job) => number) => Math.max(0, ...running.map(pick));
  const newest = list.map((j) => j.checkpoint).filter((c) => c.at).sort((a, b) => Date.parse(b.at!) - Date.parse(a.at!))[0];
  const unbalanced = list.some((j) => !j.checkpoint.balanced);
  const p99 = worst((j) => j.latency.p99);
  return (
    <dl class="tiles">
      <Tile label="Events a second" value={rate(events)} sub={`${count(taken)} in total`} series={series.total('perSecond')} />
      <Tile
        label="Latency, P99" value={millis(p99)} tone={p99 > 1000 ? 'warn' : ''}
        sub={`P50 ${millis(worst((j) => j.latency.p50))}, P95 ${millis(worst((j) => j.latency.p95))}`.replace(/ ms,/, ',')} series={series.total('p99', 'max')}
      />
      <Tile label="Lag" value={count(behind)} unit={behind === 1 ? 'record' : 'records'} tone={behind > 50_000 ? 'warn' : ''} sub={behind === 0 ? 'caught up' : 'not read yet'} series={series.total('lag')} />
      <Tile label="Quarantined" value={percent(taken ? bad / taken : 0)} sub={`${plural(bad, 'row')} of ${count(taken)}`} series={series.total('quarantinedPerSecond')} />
      <Tile
        label="Checkpoint" value={newest ? '#' + integer(newest.id) : 'none'} tone={unbalanced ? 'bad' : ''}
        sub={newest ? `${ago(newest.at, now())} in ${millis(newest.tookMillis)}${unbalanced ? ' · does not add up' : ''}` : 'no pipeline runs'}
      />
      <Tile
        label="Machine" value={process ? percent(process.cores / process.processors).replace(/\.\d+/, '') : ''} unit={process ? `CPU · ${bytes(process.residentBytes)}` : 'CPU'}
        sub={process ? `${bytes(process.dataBytes)} data, ${bytes(process.diskFreeBytes)} free` : ''} series={series.cores}
      />
    </dl>
  );
}

function JobGraph(props: { job: Job }) {
  const [plan, setPlan] = useState<{ job: string; plan: Plan } | null>(null);
  useEffect(() => {
    get<JobDetail>(`/api/jobs/${encodeURIComponent(props.job.name)}`).then((d) => setPlan({ job: d.job.name, plan: d.plan }), () => setPlan(null));
  }, [props.job.name, props.job.submittedAt]);
  return (
    <Panel
      title={props.job.name} id="graph" note={<Chip state={props.job.state} title={props.job.reason ?? undefined} />}
      actions={<a class="button" href={link('jobs', props.job.name)}>Open pipeline</a>}
    >
      {props.job.reason && <p class="reason">{props.job.reason}</p>}
      {plan?.job === props.job.name && <Graph plan={plan.plan} job={props.job} />}
    </Panel>
  );
}

export function Throughput(props: { job?: string }) {
  const { series } = useLive(1000);
  const of = (name: 'perSecond' | 'quarantinedPerSecond') => (props.job ? series.of(props.job)[name] : series.total(name));
  const values = of('perSecond');
  return (
    <Panel title="Events a second" note={props.job ? 'last ten minutes' : 'all pipelines, last ten minutes'}>
      <LineChart
        at={series.at} seconds={600} format={rate} summary={`Events a second over the last ten minutes, now ${rate(values[values.length - 1] ?? 0)}`}
        lines={[
          { label: 'in', color: '--s0', values: values.slice(), fill: true },
          { label: 'quarantined', color: '--s3', values: of('quarantinedPerSecond').slice() },
        ]}
      />
    </Panel>
  );
}

export function LatencyPanel(props: { job?: string }) {
  const { series } = useLive(1000);
  const of = (name: 'p50' | 'p95' | 'p99') => (props.job ? series.of(props.job)[name].slice() : series.total(name, 'max'));
  const p99 = of('p99');
  return (
    <Panel title="End-to-end latency" note="record's time to live view">
      <LineChart
        at={series.at} seconds={600} format={millis} summary={`Latency percentiles over the last ten minutes; P99 now ${millis(p99[p99.length - 1] ?? 0)}`}
        lines={[
          { label: 'P50', color: '--s1', values: of('p50') },
          { label: 'P95', color: '--s0', values: of('p95') },
          { label: 'P99', color: '--s4', values: p99 },
        ]}
      />
    </Panel>
  );
}

function TablesPanel(props: { jobs: Job[] }) {
  const version = props.jobs.flatMap((j) => j.sinks.map((s) => s.lastCommit)).join();
  const { value } = useFetched<{ tables: Table[] }>('/api/tables', 10_000, version);
  return (
    <Panel title="Tables" note="Iceberg, one snapshot a commit">
      {value?.tables.length ? (
        <Grid
          label="Tables" rows={value.tables} rowKey={(t) => t.namespace + '.' + t.name}
          columns={[
            { name: 'table', cell: (t) => <a href={link('tables', t.namespace, t.name)}>{t.namespace}.{t.name}</a> },
            { name: 'rows', right: true, cell: (t) => count(t.rows) },
            { name: 'snapshots', right: true, cell: (t) => count(t.snapshots) },
            { name: 'files', right: true, cell: (t) => count(t.files) },
            { name: 'size', right: true, cell: (t) => bytes(t.bytes) },
            { name: 'last commit', right: true, cell: (t) => (t.updatedAt ? duration(Math.max(0, live.now() - Date.parse(t.updatedAt))) + ' ago' : '') },
          ]}
        />
      ) : (
        value && <Empty title="No tables yet">A pipeline makes one with a sink such as <code>iceberg:sales.by_country</code>.</Empty>
      )}
    </Panel>
  );
}
