import type { Table, TableDetail } from '../api';
import { ago, bytes, count, integer, plural, stamp } from '../format';
import { useFetched } from '../live/fetched';
import { live, useLive } from '../live/store';
import { link } from '../router';
import { Empty, Grid, Panel, ProblemNote } from '../ui/parts';

export function Tables(props: { parts: string[] }) {
  return props.parts.length === 2 ? <OneTable key={props.parts.join('.')} namespace={props.parts[0]} name={props.parts[1]} /> : <AllTables />;
}

function useCommits() {
  const { jobs } = useLive(1000);
  return (jobs ?? []).flatMap((j) => j.sinks.map((s) => s.lastCommit)).join();
}

function AllTables() {
  const { value, problem } = useFetched<{ tables: Table[] }>('/api/tables', 5000, useCommits());
  return (
    <div class="page">
      <div class="top">
        <h1>Tables</h1>
        <p class="soft">Apache Iceberg tables in the data folder; every commit is a snapshot.</p>
      </div>
      {problem && <ProblemNote problem={problem} />}
      <Panel title="All tables" note={value ? plural(value.tables.length, 'table') : ''}>
        {value?.tables.length === 0 && (
          <Empty title="No tables yet" command="./millrace demo">
            A pipeline's sink makes one: <code>iceberg:sales.by_country?key=country,window_start</code>
          </Empty>
        )}
        {value && value.tables.length > 0 && (
          <Grid
            label="Tables" rows={value.tables} rowKey={(t) => t.namespace + '.' + t.name}
            columns={[
              { name: 'table', cell: (t) => <a href={link('tables', t.namespace, t.name)}>{t.namespace}.{t.name}</a> },
              { name: 'rows', right: true, cell: (t) => count(t.rows) },
              { name: 'size', right: true, cell: (t) => bytes(t.bytes) },
              { name: 'files', right: true, cell: (t) => count(t.files) },
              { name: 'snapshots', right: true, cell: (t) => count(t.snapshots) },
              { name: 'last commit', right: true, cell: (t) => ago(t.updatedAt, live.now()) },
            ]}
          />
        )}
      </Panel>
    </div>
  );
}

function OneTable(props: { namespace: string; name: string }) {
  const full = `${props.namespace}.${props.name}`;
  const { value, problem } = useFetched<TableDetail>(`/api/tables/${encodeURIComponent(props.namespace)}/${encodeURIComponent(props.name)}`, 5000, useCommits());
  const snapshots = value ? [...value.snapshotLog].sort((a, b) => Date.parse(b.at) - Date.parse(a.at)) : [];
  return (
    <div class="page">
      <div class="top">
        <p class="crumb">
          <a href={link('tables')}>Tables</a>
        </p>
        <h1>{full}</h1>
        <div class="actions">
          <a class="button" href={link('sql', `SELECT *\nFROM ${full}\nLIMIT 100;`)}>
            Query it
          </a>
        </div>
      </div>
      {problem && <ProblemNote problem={problem} />}
      {value && (
        <>
          <dl class="facts">
            <div><dt>Rows</dt><dd>{integer(value.table.rows)}</dd></div>
            <div><dt>Size</dt><dd>{bytes(value.table.bytes)}</dd></div>
            <div><dt>Data files</dt><dd>{integer(value.table.files)}</dd></div>
            <div><dt>Snapshots</dt><dd>{integer(value.table.snapshots)}</dd></div>
            <div><dt>Format</dt><dd>Iceberg v{value.formatVersion}</dd></div>
            <div class="long"><dt>Location</dt><dd><code>{value.location}</code></dd></div>
          </dl>
          <Panel title="Growth" note="rows added by each snapshot">
            <Growth snapshots={snapshots} />
          </Panel>
          <div class="split">
            <Panel title="Snapshots" note="newest first">
              <Grid
                label="Snapshots" tall rows={snapshots.slice(0, 200)} rowKey={(s) => s.id}
                columns={[
                  { name: 'time', cell: (s) => stamp(s.at) },
                  { name: 'operation', cell: (s) => s.operation },
                  { name: 'added', right: true, cell: (s) => (s.addedRows === null ? '' : '+' + integer(s.addedRows)) },
                  { name: 'rows', right: true, cell: (s) => (s.totalRows === null ? '' : integer(s.totalRows)) },
                  { name: 'id', cell: (s) => <code>{s.id}</code> },
                ]}
              />
            </Panel>
            <Panel title="Columns" note={value.key.length ? `key: ${value.key.join(', ')}` : 'no key'}>
              <Grid
                label="Columns" rows={value.columns} rowKey={(c) => String(c.id)}
                columns={[
                  { name: 'id', cell: (c) => c.id },
                  { name: 'column', cell: (c) => c.name },
                  { name: 'type', cell: (c) => <code>{c.type}</code> },
                  { name: '', cell: (c) => (c.required ? 'required' : '') },
                ]}
              />
            </Panel>
          </div>
          <Panel title="Data files" note={plural(value.dataFiles.length, 'file')}>
            <Grid
              label="Data files" tall rows={value.dataFiles.slice(0, 200)} rowKey={(f) => f.path}
              columns={[
                { name: 'path', wide: true, cell: (f) => <code>{f.path}</code> },
                { name: 'rows', right: true, cell: (f) => integer(f.rows) },
                { name: 'size', right: true, cell: (f) => bytes(f.bytes) },
              ]}
            />
          </Panel>
        </>
      )}
    </div>
  );
}

function Growth(props: { snapshots: TableDetail['snapshotLog'] }) {
  const shown = props.snapshots.slice(0, 60).reverse();
  if (shown.length === 0) return <Empty title="No snapshot yet">The first commit brings it.</Empty>;
  const most = Math.max(1, ...shown.map((s) => s.addedRows ?? 0));
  const width = 600 / Math.max(60, shown.length);
  return (
    <svg class="growth" viewBox="0 0 600 70" preserveAspectRatio="none" role="img" aria-label={`Rows added by the newest ${shown.length} snapshots, at most ${integer(most)}; the table below has the figures`}>
      {shown.map((s, i) => (
        <rect key={s.id} x={600 - (shown.length - i) * width + 1} width={Math.max(1, width - 2)} y={68 - ((s.addedRows ?? 0) / most) * 62} height={2 + ((s.addedRows ?? 0) / most) * 62} rx="1">
          <title>{`${stamp(s.at)}: +${integer(s.addedRows ?? 0)} rows`}</title>
        </rect>
      ))}
    </svg>
  );
}
