import { useRef, useState } from 'preact/hooks';
import type { Group, RecordPage, RegisteredSchema, StoredRecord, Topic } from '../api';
import { bytes, clock, count, integer, plural, rate } from '../format';
import { useFetched } from '../live/fetched';
import { Rates } from '../live/rates';
import { live } from '../live/store';
import { link } from '../router';
import { Chip, Choice, Empty, Grid, Panel, ProblemNote } from '../ui/parts';

export function Topics(props: { parts: string[] }) {
  return props.parts[0] ? <OneTopic key={props.parts[0]} name={props.parts[0]} /> : <AllTopics />;
}

function AllTopics() {
  const { value, problem } = useFetched<{ topics: Topic[] }>('/api/topics', 1000);
  const rates = useRef(new Rates(5000));
  return (
    <div class="page">
      <div class="top">
        <h1>Topics</h1>
        <p class="soft">The embedded log, open to any Kafka client.</p>
      </div>
      {problem && <ProblemNote problem={problem} />}
      <Panel title="All topics" note={value ? plural(value.topics.length, 'topic') : ''}>
        {value?.topics.length === 0 && (
          <Empty title="No topics yet" command="./millrace topic create orders --partitions 3">
            Any Kafka client makes one by producing to it, or:
          </Empty>
        )}
        {value && value.topics.length > 0 && (
          <Grid
            label="Topics" rows={value.topics} rowKey={(t) => t.name}
            columns={[
              { name: 'topic', cell: (t) => <a href={link('topics', t.name)}>{t.name}</a> },
              { name: 'partitions', right: true, cell: (t) => t.partitions.length },
              { name: 'records', right: true, cell: (t) => count(t.records) },
              { name: 'records/s', right: true, cell: (t) => rate(rates.current.of(t.name, t.partitions.reduce((n, p) => n + p.endOffset, 0), live.now())) },
              { name: 'size', right: true, cell: (t) => bytes(t.bytes) },
            ]}
          />
        )}
      </Panel>
      <Groups />
      <Schemas />
    </div>
  );
}

/** The newest version of each subject; of one topic, of its key and its value with their text. */
function Schemas(props: { topic?: string }) {
  const prefix = props.topic === undefined ? '' : `&subjectPrefix=${encodeURIComponent(props.topic + '-')}`;
  const { value } = useFetched<RegisteredSchema[]>(`/schema-registry/schemas?latestOnly=true${prefix}`, 5000);
  const schemas = (value ?? []).filter((s) => props.topic === undefined || s.subject === `${props.topic}-key` || s.subject === `${props.topic}-value`);
  if (schemas.length === 0) return null;
  return (
    <Panel title="Schemas" note={plural(schemas.length, 'subject')}>
      <Grid
        label="Schemas" rows={schemas} rowKey={(s) => s.subject}
        columns={[
          { name: 'subject', cell: (s) => s.subject },
          { name: 'type', cell: (s) => s.schemaType ?? 'AVRO' },
          { name: 'version', right: true, cell: (s) => s.version },
          { name: 'id', right: true, cell: (s) => s.id },
          { name: 'schema', wide: true, cell: (s) => <code class="value">{props.topic === undefined && s.schema.length > 120 ? s.schema.slice(0, 120) + '…' : s.schema}</code> },
        ]}
      />
    </Panel>
  );
}

function Groups(props: { topic?: string }) {
  const { value } = useFetched<{ groups: Group[] }>('/api/groups', 1000);
  const groups = (value?.groups ?? []).filter((g) => !props.topic || g.partitions.some((p) => p.topic === props.topic));
  return (
    <Panel title="Consumer groups" note={plural(groups.length, 'group')}>
      {value && groups.length === 0 && <Empty title="No group reads here" />}
      {groups.length > 0 && (
        <Grid
          label="Consumer groups" rows={groups} rowKey={(g) => g.id}
          columns={[
            { name: 'group', cell: (g) => g.id },
            { name: 'state', cell: (g) => <Chip state={g.state} /> },
            { name: 'members', right: true, cell: (g) => g.members },
            { name: 'lag', right: true, cell: (g) => count(g.lag) },
            { name: 'partitions', wide: true, cell: (g) => g.partitions.slice(0, 8).map((p) => `${p.topic}/${p.partition}: ${count(p.lag)}`).join(', ') },
          ]}
        />
      )}
    </Panel>
  );
}

function OneTopic(props: { name: string }) {
  const { value, problem } = useFetched<Topic>(`/api/topics/${encodeURIComponent(props.name)}`, 1000);
  const [partition, setPartition] = useState(0);
  const [offset, setOffset] = useState('');
  const [follow, setFollow] = useState(true);
  const start = offset === '' ? -25 : Number(offset);
  const page = useFetched<RecordPage>(
    value ? `/api/topics/${encodeURIComponent(props.name)}/records?partition=${partition}&offset=${start}&limit=25` : null,
    follow && offset === '' ? 1000 : 0,
  );
  // Dead letters say in headers why they are there and where they came from.
  const headed = page.value?.records.some((r) => Object.keys(r.headers).length > 0) ?? false;
  const records = page.value ? (offset === '' ? [...page.value.records].reverse() : page.value.records) : [];
  return (
    <div class="page">
      <div class="top">
        <p class="crumb">
          <a href={link('topics')}>Topics</a>
        </p>
        <h1>{props.name}</h1>
        {value && (
          <p class="soft">
            {plural(value.partitions.length, 'partition')}, {plural(value.records, 'record')}, {bytes(value.bytes)}
          </p>
        )}
      </div>
      {problem && <ProblemNote problem={problem} />}
      {value && (
        <>
          <Panel
            title="Records" note={offset === '' ? 'newest first' : `from offset ${offset}`}
            actions={
              <>
                {value.partitions.length > 1 && (
                  <label class="field">
                    partition
                    <select value={String(partition)} onChange={(e) => setPartition(Number(e.currentTarget.value))}>
                      {value.partitions.map((p) => (
                        <option value={String(p.partition)}>{p.partition}</option>
                      ))}
                    </select>
                  </label>
                )}
                <label class="field">
                  offset
                  <input type="number" min="0" placeholder="newest" value={offset} onChange={(e) => setOffset(e.currentTarget.value)} />
                </label>
                <Choice label="Follow" value={follow && offset === '' ? 'follow' : 'pause'} onChange={(v) => (setFollow(v === 'follow'), v === 'follow' && setOffset(''))} options={[{ value: 'follow', text: 'Follow' }, { value: 'pause', text: 'Pause' }]} />
              </>
            }
          >
            {page.problem && <ProblemNote problem={page.problem} />}
            {page.value && records.length === 0 && <Empty title="No record here" command={`./millrace topic produce ${props.name}`} />}
            {records.length > 0 && (
              <Grid
                label="Records" tall rows={records} rowKey={(r) => String(r.offset)}
                columns={[
                  { name: 'offset', right: true, cell: (r) => integer(r.offset) },
                  { name: 'time', cell: (r) => clock(Date.parse(r.timestamp)) },
                  { name: 'key', cell: (r) => r.key ?? <span class="null">none</span> },
                  { name: 'value', wide: true, cell: (r) => <code class="value">{r.value ?? ''}{r.cut ? '…' : ''}</code> },
                  ...(headed ? [{ name: 'headers', wide: true, cell: (r: StoredRecord) => <code class="value">{Object.entries(r.headers).map(([k, v]) => `${k}: ${v ?? ''}`).join('\n')}</code> }] : []),
                ]}
              />
            )}
          </Panel>
          <Panel title="Partitions">
            <Grid
              label="Partitions" rows={value.partitions} rowKey={(p) => String(p.partition)}
              columns={[
                { name: 'partition', cell: (p) => p.partition },
                { name: 'first offset', right: true, cell: (p) => integer(p.startOffset) },
                { name: 'end offset', right: true, cell: (p) => integer(p.endOffset) },
                { name: 'size', right: true, cell: (p) => bytes(p.bytes) },
              ]}
            />
          </Panel>
          <Schemas topic={props.name} />
          <Groups topic={props.name} />
        </>
      )}
    </div>
  );
}
