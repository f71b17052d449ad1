import { useEffect, useState } from 'preact/hooks';
import { post, ProblemError, remove, type JobDetail, type Problem } from '../api';
import { ago, count, integer, millis, percent, plural, rate, stamp } from '../format';
import { Graph } from '../graph/Graph';
import { useFetched } from '../live/fetched';
import { lag, perSecond } from '../live/series';
import { live, useLive } from '../live/store';
import { link } from '../router';
import { Chip, Empty, Grid, Panel, ProblemNote, Tile } from '../ui/parts';
import { OutputPanel, shownOutputs } from './OutputPanel';
import { LatencyPanel, Throughput } from './Overview';
import { QuarantinePanel } from './QuarantinePanel';

export function Jobs(props: { parts: string[] }) {
  return props.parts[0] ? <OneJob key={props.parts[0]} name={props.parts[0]} /> : <AllJobs />;
}

function AllJobs() {
  const { jobs } = useLive(500);
  useEffect(() => live.watch(null), []);
  return (
    <div class="page">
      <div class="top">
        <h1>Pipelines</h1>
      </div>
      <Panel title="All pipelines" note={jobs ? plural(jobs.length, 'pipeline') : ''}>
        {jobs?.length === 0 && (
          <Empty title="No pipeline was submitted" command="./millrace run examples/orders.yaml">
            A pipeline file names its sources, checks, SQL and sinks. Start one with:
          </Empty>
        )}
        {jobs && jobs.length > 0 && (
          <Grid
            label="Pipelines" rows={jobs} rowKey={(j) => j.name}
            columns={[
              { name: 'pipeline', cell: (j) => <a href={link('jobs', j.name)}>{j.name}</a> },
              { name: 'state', cell: (j) => <Chip state={j.state} title={j.reason ?? undefined} /> },
              { name: 'events/s', right: true, cell: (j) => rate(perSecond(j)) },
              { name: 'in', right: true, cell: (j) => count(j.sources.reduce((n, s) => n + s.in, 0)) },
              { name: 'quarantined', right: true, cell: (j) => count(j.sources.reduce((n, s) => n + s.quarantined, 0)) },
              { name: 'lag', right: true, cell: (j) => count(lag(j)) },
              { name: 'P99', right: true, cell: (j) => millis(j.latency.p99) },
              { name: 'checkpoint', right: true, cell: (j) => (j.checkpoint.at ? ago(j.checkpoint.at, live.now()) : 'none') },
              { name: 'priority', cell: (j) => j.priority },
            ]}
          />
        )}
      </Panel>
    </div>
  );
}

function OneJob(props: { name: string }) {
  const { jobs, now, series } = useLive(500);
  const job = jobs?.find((j) => j.name === props.name);
  const { value: detail } = useFetched<JobDetail>(job ? `/api/jobs/${encodeURIComponent(props.name)}` : null, 0, job?.submittedAt);
  useEffect(() => live.watch(props.name), [props.name]);
  if (jobs && !job) {
    return (
      <div class="page">
        <div class="top">
          <h1>{props.name}</h1>
        </div>
        <div class="panel">
          <Empty title={`No pipeline is named ${props.name}`} command="./millrace job list">It may have been removed.</Empty>
        </div>
      </div>
    );
  }
  if (!job) return <div class="page" aria-busy="true" />;
  const taken = job.sources.reduce((n, s) => n + s.in, 0);
  const bad = job.sources.reduce((n, s) => n + s.quarantined, 0);
  const late = job.sources.reduce((n, s) => n + s.late, 0);
  const waiting = job.sources.filter((s) => s.waiting > 0);
  const own = series.of(job.name);
  return (
    <div class="page">
      <div class="top">
        <p class="crumb">
          <a href={link('jobs')}>Pipelines</a>
        </p>
        <h1>{job.name}</h1>
        <Chip state={job.state} />
        <Actions name={job.name} state={job.state} />
      </div>
      {job.reason && <div class="problem"><p class="strong">{job.state === 'failed' ? 'Failed' : job.state === 'paused' ? 'Paused' : 'Waits'}</p><p>{job.reason}</p></div>}
      <dl class="tiles">
        <Tile label="Events a second" value={rate(perSecond(job))} sub={`${count(taken)} in total`} series={own.perSecond} />
        <Tile label="Latency, P99" value={millis(job.latency.p99)} sub={`P50 ${millis(job.latency.p50)}, P95 ${millis(job.latency.p95)}`.replace(/ ms,/, ',')} series={own.p99} />
        <Tile label="Lag" value={count(lag(job))} unit="records" sub={lag(job) === 0 ? 'caught up' : 'not read yet'} series={own.lag} />
        <Tile label="Quarantined" value={percent(taken ? bad / taken : 0)} sub={`${count(bad)} bad, ${count(late)} late`} series={own.quarantinedPerSecond} />
        <Tile
          label="Checkpoint" value={job.checkpoint.at ? '#' + integer(job.checkpoint.id) : 'none'} tone={job.checkpoint.balanced ? '' : 'bad'}
          sub={`${ago(job.checkpoint.at, now())} in ${millis(job.checkpoint.tookMillis)}`}
        />
        <Tile label="Adds up" value={job.checkpoint.balanced ? 'Yes' : 'No'} tone={job.checkpoint.balanced ? '' : 'bad'} sub={waiting.length > 0 ? 'good + quarantined + waiting = in' : 'good + quarantined = in'} />
      </dl>
      {waiting.map((s) => (
        <div key={s.name} class="problem">
          <p class="strong">{`${plural(s.waiting, 'record')} of ${s.name} ${s.waiting === 1 ? 'waits' : 'wait'} to be tried again`}</p>
          <p>{s.waitingFor}</p>
        </div>
      ))}
      {detail && (
        <Panel title="Flow" id="graph">
          <Graph plan={detail.plan} job={job} />
        </Panel>
      )}
      {shownOutputs(job).map((o) => (
        <OutputPanel key={o.name} job={job.name} output={o.name} />
      ))}
      <div class="split">
        <Throughput job={job.name} />
        <LatencyPanel job={job.name} />
      </div>
      <div class="split">
        <QuarantinePanel job={job.name} rows={30} />
        <div class="stack">
          <Partitions job={job.name} />
          <Sinks job={job.name} />
        </div>
      </div>
      {detail && (
        <Panel title="Pipeline file" note={`submitted ${stamp(job.submittedAt)}`}>
          <pre class="file" tabIndex={0}>{detail.file}</pre>
        </Panel>
      )}
    </div>
  );
}

function Partitions(props: { job: string }) {
  const job = useLive(500).jobs?.find((j) => j.name === props.job);
  const rows = (job?.sources ?? []).flatMap((s) => s.partitions.map((p) => ({ ...p, source: s })));
  return (
    <Panel title="Sources" note={plural(rows.length, 'partition')}>
      <Grid
        label="Source partitions" rows={rows} rowKey={(r) => r.source.name + r.partition}
        columns={[
          { name: 'topic', cell: (r) => <a href={link('topics', r.source.topic)}>{r.source.topic}/{r.partition}</a> },
          { name: 'read to', right: true, cell: (r) => integer(r.nextOffset) },
          { name: 'end', right: true, cell: (r) => integer(r.endOffset) },
          { name: 'lag', right: true, cell: (r) => count(Math.max(0, r.endOffset - r.nextOffset)) },
          { name: 'state', cell: (r) => (r.idle ? <Chip state="idle" text="idle" /> : <Chip state="running" text="reading" />) },
        ]}
      />
    </Panel>
  );
}

function Sinks(props: { job: string }) {
  const { jobs, now } = useLive(500);
  const job = jobs?.find((j) => j.name === props.job);
  return (
    <Panel title="Sinks">
      {job?.sinks.length ? (
        <Grid
          label="Sinks" rows={job.sinks} rowKey={(s) => s.target}
          columns={[
            { name: 'target', cell: (s) => s.target },
            { name: 'committed', right: true, cell: (s) => count(s.committed) },
            { name: 'pending', right: true, cell: (s) => count(s.pending) },
            { name: 'refused', right: true, cell: (s) => count(s.refused) },
            { name: 'last commit', right: true, cell: (s) => ago(s.lastCommitAt, now()) },
          ]}
        />
      ) : (
        <Empty title="No sinks" />
      )}
    </Panel>
  );
}

function Actions(props: { name: string; state: string }) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState('');
  const [sure, setSure] = useState(false);
  const act = async (what: string, work: () => Promise<unknown>) => {
    setBusy(what);
    setProblem(null);
    try {
      await work();
    } catch (error) {
      setProblem(error instanceof ProblemError ? error.problem : { title: 'No answer', status: 0, detail: 'the server cannot be reached' });
    } finally {
      setBusy('');
      setSure(false);
    }
  };
  const path = `/api/jobs/${encodeURIComponent(props.name)}`;
  const stopped = props.state === 'stopped' || props.state === 'failed';
  return (
    <div class="actions">
      {!stopped && (
        <button type="button" disabled={busy !== ''} onClick={() => void act('stop', () => post(path + '/stop'))}>
          {busy === 'stop' ? 'Stopping' : 'Stop'}
        </button>
      )}
      <button type="button" disabled={busy !== ''} onClick={() => void act('restart', () => post(path + '/restart'))}>
        {busy === 'restart' ? 'Starting' : stopped ? 'Start' : 'Restart'}
      </button>
      {stopped && (
        <button type="button" class="danger" disabled={busy !== ''} onClick={() => (sure ? void act('remove', async () => { await remove(path); location.hash = link('jobs'); }) : setSure(true))}>
          {sure ? 'Really remove it and its state?' : 'Remove'}
        </button>
      )}
      {problem && <ProblemNote problem={problem} />}
    </div>
  );
}

