import { ago, plural } from '../format';
import { useLive } from '../live/store';
import { link } from '../router';
import { Chip, Empty, Grid, Panel } from '../ui/parts';

export function Alerts() {
  const { jobs, now } = useLive(1000);
  const alerts = (jobs ?? []).flatMap((j) => j.alerts.map((a) => ({ ...a, job: j.name }))).sort((a, b) => Number(b.firing) - Number(a.firing));
  const firing = alerts.filter((a) => a.firing).length;
  return (
    <div class="page">
      <div class="top">
        <h1>Alerts</h1>
        {alerts.length > 0 && <p class="soft">{firing ? `${plural(firing, 'alert')} firing` : 'All quiet'}</p>}
      </div>
      <Panel title="All alerts" note={plural(alerts.length, 'alert')}>
        {jobs && alerts.length === 0 && (
          <Empty title="No alerts are set">
            A pipeline file sets them: <code>{'low_revenue: {when: "revenue < 100 for 5m", to: log}'}</code>
          </Empty>
        )}
        {alerts.length > 0 && (
          <Grid
            label="Alerts" rows={alerts} rowKey={(a) => a.job + a.name}
            columns={[
              { name: 'alert', cell: (a) => a.name },
              { name: 'state', cell: (a) => <Chip state={a.firing ? 'firing' : 'quiet'} /> },
              { name: 'since', cell: (a) => (a.since ? ago(a.since, now()) : '') },
              { name: 'detail', wide: true, cell: (a) => a.detail ?? '' },
              { name: 'pipeline', cell: (a) => <a href={link('jobs', a.job)}>{a.job}</a> },
            ]}
          />
        )}
      </Panel>
    </div>
  );
}
