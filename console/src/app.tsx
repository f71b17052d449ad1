import { useEffect, useRef, useState } from 'preact/hooks';
import { logOut, whoAmI } from './api';
import { live, useLive } from './live/store';
import { Alerts } from './pages/Alerts';
import { Cluster } from './pages/Cluster';
import { Jobs } from './pages/Jobs';
import { Overview } from './pages/Overview';
import { Sql } from './pages/Sql';
import { Tables } from './pages/Tables';
import { Topics } from './pages/Topics';
import { link, usePlace } from './router';
import { Icon } from './ui/parts';
import { setTheme, theme, type Theme } from './ui/theme';

const PAGES = [
  { id: 'overview', title: 'Overview' },
  { id: 'jobs', title: 'Pipelines' },
  { id: 'sql', title: 'SQL' },
  { id: 'tables', title: 'Tables' },
  { id: 'topics', title: 'Topics' },
  { id: 'cluster', title: 'Cluster' },
  { id: 'alerts', title: 'Alerts' },
];

export function App() {
  const place = usePlace();
  const page = PAGES.find((p) => p.id === place.page) ?? PAGES[0];
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${place.parts[0] ? place.parts.join('.') + ' · ' : ''}${page.title} · Millrace`;
    if (page.id !== 'overview' && page.id !== 'jobs') live.watch(null);
    // A change of page starts reading at its top; the first page is left as the browser opens it.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
    scrollTo(0, 0);
  }, [location.hash]);
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), main.current?.focus())}>
        Skip to content
      </a>
      <Side page={page.id} />
      <main id="main" ref={main} tabIndex={-1}>
        {page.id === 'overview' && <Overview />}
        {page.id === 'jobs' && <Jobs parts={place.parts} />}
        {page.id === 'sql' && <Sql parts={place.parts} />}
        {page.id === 'tables' && <Tables parts={place.parts} />}
        {page.id === 'topics' && <Topics parts={place.parts} />}
        {page.id === 'cluster' && <Cluster />}
        {page.id === 'alerts' && <Alerts />}
      </main>
      <Announcer />
    </>
  );
}

function Side(props: { page: string }) {
  const { jobs, connection, process } = useLive(1000);
  const firing = jobs?.reduce((n, j) => n + j.alerts.filter((a) => a.firing).length, 0) ?? 0;
  return (
    <header class="side">
      <a class="brand" href={link('overview')}>
        <img src="/mark.svg" width="28" height="28" alt="" />
        <span>Millrace</span>
      </a>
      <nav aria-label="Pages">
        {PAGES.map((p) => (
          <a href={link(p.id)} aria-current={p.id === props.page ? 'page' : undefined}>
            <Icon name={p.id} />
            <span>{p.title}</span>
            {p.id === 'alerts' && firing > 0 && (
              <b class="badge">
                {firing}
                <span class="hidden"> firing</span>
              </b>
            )}
          </a>
        ))}
        <a href="/api" class="desk">
          <Icon name="api" />
          <span>HTTP API</span>
        </a>
      </nav>
      <div class="foot">
        <span class={'link ' + connection} role="status">
          <i aria-hidden="true" />
          {connection === 'live' ? 'Live' : connection === 'lost' ? 'Reconnecting' : 'Connecting'}
        </span>
        <ThemePick />
        <LogOut />
        <span class="version">{process ? 'v' + process.version : ''}</span>
      </div>
    </header>
  );
}

/** Who is logged in, and the way out; nothing where there is no login. */
function LogOut() {
  const [user, set] = useState<string | null>(null);
  useEffect(() => void whoAmI().then(set, () => undefined), []);
  if (user === null) return null;
  return (
    <button type="button" class="quiet theme" onClick={() => void logOut()} aria-label={`Sign out ${user}`} title={`Sign out ${user}`}>
      <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
        <path d="M10 4.500H5.500v15H10M15 8l4 4-4 4M19 12H9.500" />
      </svg>
    </button>
  );
}

function ThemePick() {
  const [value, set] = useState<Theme>(theme());
  const next: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };
  const pick = () => {
    set(next[value]);
    setTheme(next[value]);
  };
  return (
    <button type="button" class="quiet theme" onClick={pick} aria-label={`Theme: ${value}. Change to ${next[value]}`} title={`Theme: ${value}`}>
      <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
        {value === 'dark' ? <path d="M18.5 14.500A7.5 7.5 0 0 1 9.5 5.500a7.5 7.5 0 1 0 9 9z" /> : value === 'light' ? <path d="M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v1.500M12 19.500V21M3 12h1.500M19.5 12H21M5.6 5.600l1.1 1.100M17.3 17.300l1.1 1.100M5.6 18.400l1.1-1.100M17.3 6.700l1.1-1.1" /> : <path d="M12 4.500a7.5 7.5 0 1 0 0 15zM12 4.500a7.5 7.5 0 0 1 0 15" />}
      </svg>
    </button>
  );
}

/** Tells a screen reader what changed in state, never the moving figures. */
function Announcer() {
  const { jobs, connection } = useLive(1000);
  const before = useRef<Map<string, string>>(new Map());
  const [text, say] = useState('');
  useEffect(() => {
    const now = new Map<string, string>();
    now.set('connection', connection === 'lost' ? 'The connection to the server is lost' : 'The connection to the server is back');
    for (const job of jobs ?? []) {
      now.set('job ' + job.name, `Pipeline ${job.name} is ${job.state}`);
      for (const alert of job.alerts) now.set(`alert ${job.name} ${alert.name}`, `Alert ${alert.name} ${alert.firing ? 'fires' : 'is over'}`);
    }
    const news = [...now].filter(([id, told]) => before.current.has(id) && before.current.get(id) !== told).map(([, told]) => told);
    before.current = now;
    if (news.length) say(news.join('. '));
  }, [jobs, connection]);
  return (
    <div class="hidden" aria-live="polite">
      {text}
    </div>
  );
}
