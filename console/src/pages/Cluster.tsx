import { useRef } from 'preact/hooks';
import type { ClusterInfo, ClusterMember, SessionsInfo } from '../api';
import { ago, bytes, count, integer, millis, plural, rate, stamp } from '../format';
import { useFetched } from '../live/fetched';
import { Rates } from '../live/rates';
import { live } from '../live/store';
import { Chip, Empty, Grid, Panel, ProblemNote, Tile } from '../ui/parts';

/** The coordination store: who is in the group, who leads, how far each one's log is, and how it came to that. */
export function Cluster() {
  const { value, problem } = useFetched<ClusterInfo>('/api/cluster', 1000);
  const { value: sessions } = useFetched<SessionsInfo>(value && value.role !== 'client' ? '/api/sessions' : null, 1000);
  const rates = useRef(new Rates(5000));
  const nameOf = (id: string | null) => value?.members.find((m) => m.id === id)?.name || id || 'none';
  return (
    <div class="page">
      <div class="top">
        <h1>Cluster</h1>
        <p class="soft">The coordination store. It speaks etcd's API, so etcdctl works here.</p>
      </div>
      {problem && <ProblemNote problem={problem} />}
      {value && (
        <>
          <dl class="tiles">
            <Tile label="Leader" value={nameOf(value.leader)} sub={value.leader ? `term ${integer(value.term)}` : 'no majority answers'} tone={value.leader ? '' : 'bad'} />
            <Tile label="Writes" value={rate(rates.current.of('revision', value.revision, live.now()))} unit="/s" sub={`revision ${integer(value.revision)}`} />
            <Tile label="State" value={bytes(value.stateBytes)} sub={plural(value.keys, 'key')} />
            <Tile label="Log" value={bytes(value.logBytes)} sub={`${plural(value.flushes, 'flush', 'flushes')} since the start`} />
            <Tile label="Election timeout" value={millis(value.electionTimeoutMillis)} sub="follows the round trips" />
          </dl>
          {value.healing && (
            <ProblemNote problem={{ title: 'This member heals', detail: `${value.healing}. It gets what it may have lost from the others and does not vote until then.` }} />
          )}
          <Members members={value.members} last={value.lastIndex} changing={value.changingMembers} />
          <Panel title="This member's log" note={`${nameOf(value.self)} is ${value.role}`}>
            <Grid
              label="This member's log" rows={[value]} rowKey={() => 'log'}
              columns={[
                { name: 'in snapshots up to', right: true, cell: (v) => integer(v.compactedIndex) },
                { name: 'applied', right: true, cell: (v) => integer(v.applied) },
                { name: 'committed', right: true, cell: (v) => integer(v.commit) },
                { name: 'on disk', right: true, cell: (v) => integer(v.durable) },
                { name: 'last', right: true, cell: (v) => integer(v.lastIndex) },
              ]}
            />
          </Panel>
          <Panel title="Elections" note="that this member knows of, newest first">
            {value.elections.length === 0 && <Empty title="No leader yet" />}
            {value.elections.length > 0 && (
              <Grid
                label="Elections" tall rows={value.elections} rowKey={(e) => e.term + e.leader}
                columns={[
                  { name: 'at', cell: (e) => <span title={ago(e.at, live.now())}>{stamp(e.at)}</span> },
                  { name: 'term', right: true, cell: (e) => integer(e.term) },
                  { name: 'leader', cell: (e) => nameOf(e.leader) },
                  { name: 'without a leader before', right: true, cell: (e) => (e.leaderlessMillis > 0 ? millis(e.leaderlessMillis) : '') },
                ]}
              />
            )}
          </Panel>
          {sessions && <Sessions sessions={sessions} nameOf={nameOf} />}
        </>
      )}
    </div>
  );
}

/** Session data by quorums, as this process's member has it. */
function Sessions({ sessions, nameOf }: { sessions: SessionsInfo; nameOf: (id: string) => string }) {
  const { copies, write, read } = sessions;
  const sees = read + write > copies ? 'a read sees every write before it' : 'a read may miss a write';
  return (
    <Panel title="Sessions" note={`${plural(copies, 'copy', 'copies')}, writes wait for ${write}, reads for ${read}: ${sees}`}>
      {sessions.failure && <ProblemNote problem={{ title: 'Sessions on this member have stopped', detail: sessions.failure }} />}
      <Grid
        label="Sessions" rows={[sessions]} rowKey={() => 'sessions'}
        columns={[
          { name: 'puts', right: true, cell: (s) => integer(s.puts) },
          { name: 'gets', right: true, cell: (s) => integer(s.gets) },
          { name: 'repaired by reads', right: true, cell: (s) => integer(s.repairs) },
          { name: 'hints waiting', cell: (s) => (s.hints.length === 0 ? 'none' : s.hints.map((h) => `${integer(h.count)} for ${nameOf(h.member)}`).join(', ')) },
          { name: 'handed over', right: true, cell: (s) => integer(s.handoffs) },
          { name: 'written here', right: true, cell: (s) => integer(s.written) },
          { name: 'flushes', right: true, cell: (s) => integer(s.flushes) },
        ]}
      />
    </Panel>
  );
}

function Members(props: { members: ClusterMember[]; last: number; changing: boolean }) {
  const state = (m: ClusterMember) => (m.leader ? 'leader' : m.active === false ? 'silent' : m.learner ? 'learner' : 'follower');
  const top = Math.max(props.last, ...props.members.map((m) => m.match ?? 0));
  return (
    <Panel title="Members" note={plural(props.members.length, 'member') + (props.changing ? ', a change is under way' : '')}>
      <Grid
        label="Members" rows={props.members} rowKey={(m) => m.id}
        columns={[
          { name: 'member', cell: (m) => (m.name || 'not started') + (m.self ? ' (this one)' : '') },
          { name: 'state', cell: (m) => <Chip state={state(m)} /> },
          { name: 'log up to', right: true, cell: (m) => (m.match === null ? '' : integer(m.match)) },
          { name: 'behind', right: true, cell: (m) => (m.match === null ? '' : m.receivingSnapshot ? 'gets a snapshot' : count(top - m.match)) },
          { name: 'round trip', right: true, cell: (m) => (m.roundTripMillis === null ? '' : `${millis(m.roundTripMillis)} ± ${millis(m.deviationMillis ?? 0)}`) },
          { name: 'clients', cell: (m) => m.clientUrls.join(' ') },
          { name: 'members', cell: (m) => m.peerUrls.join(' ') },
          { name: 'id', wide: true, cell: (m) => <code>{m.id}</code> },
        ]}
      />
    </Panel>
  );
}
