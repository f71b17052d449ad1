import type { Quarantine } from '../api';
import { clock, count, percent, plural } from '../format';
import { useFetched } from '../live/fetched';
import { useLive } from '../live/store';
import { Empty, Meter, Panel } from '../ui/parts';

/** Bad rows, newest first, with every reason, and how often each reason came. */
export function QuarantinePanel(props: { job: string; rows: number }) {
  const { jobs } = useLive(1000);
  const job = jobs?.find((j) => j.name === props.job);
  const total = job?.sources.reduce((n, s) => n + s.quarantined, 0) ?? 0;
  const { value } = useFetched<Quarantine>(`/api/jobs/${encodeURIComponent(props.job)}/quarantine?limit=${props.rows}`, 0, total);
  const reasons = (value?.reasons ?? []).filter((r) => r.count > 0).slice(0, props.rows > 10 ? 12 : 4);
  const sum = (value?.reasons ?? []).reduce((n, r) => n + r.count, 0);
  return (
    <Panel title="Quarantine" class="quarantine" note={plural(total, 'row')}>
      {value && value.total === 0 && <Empty title="No bad rows">Rows that fail a check land here with their reasons, and in the quarantine topic.</Empty>}
      {reasons.length > 0 && (
        <ul class="reasons">
          {reasons.map((r) => (
            <li>
              <span class="name" title={r.reason}>
                {r.reason}
              </span>
              <span class="figure">{count(r.count)}</span>
              <Meter share={sum ? r.count / sum : 0} label={`${percent(sum ? r.count / sum : 0)} of reasons`} />
            </li>
          ))}
        </ul>
      )}
      {value && value.rows.length > 0 && (
        <>
          <h3>Newest</h3>
          <ol class="rows" tabIndex={0} role="list" aria-label="Newest quarantined rows">
            {value.rows.map((row) => (
              <li key={row.topic + row.partition + '/' + row.offset}>
                <div class="line">
                  <span class="why">{row.reasons.join(' · ')}</span>
                  <span class="soft where">
                    {clock(Date.parse(row.at))} · {row.topic}/{row.partition}@{row.offset}
                  </span>
                </div>
                <code>{row.value}</code>
              </li>
            ))}
          </ol>
        </>
      )}
    </Panel>
  );
}
