import { useEffect, useRef, useState } from 'preact/hooks';
import { post, ProblemError, type Cell, type Problem, type SqlReply, type Table } from '../api';
import { LineChart, type Line } from '../charts/LineChart';
import { SERIES } from '../charts/colors';
import { cell, clock, integer, measure, millis, plural } from '../format';
import { useFetched } from '../live/fetched';
import { useLive } from '../live/store';
import { Choice, Empty, Grid, Panel } from '../ui/parts';

const KEPT = 'millrace.sql';
const MOST = 50;

function history(): string[] {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? '[]') as unknown;
    return Array.isArray(kept) ? kept.filter((s): s is string => typeof s === 'string') : [];
  } catch {
    return [];
  }
}

/** The SQL box: Ctrl-Enter runs, Alt-Up and Alt-Down walk through what was run before. */
export function Sql(props: { parts: string[] }) {
  const [text, setText] = useState(() => props.parts[0] ?? history()[0] ?? 'SELECT 1 AS one;');
  const [past, setPast] = useState(history);
  const [at, setAt] = useState(-1);
  const [reply, setReply] = useState<SqlReply | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [ran, setRan] = useState('');
  const [busy, setBusy] = useState(false);
  const [view, setView] = useState('table');
  const area = useRef<HTMLTextAreaElement>(null);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => void (props.parts[0] && (setText(props.parts[0]), void run(props.parts[0]))), [props.parts[0]]);

  async function run(sql: string) {
    abort.current?.abort();
    const mine = (abort.current = new AbortController());
    setBusy(true);
    setProblem(null);
    setRan(sql);
    const kept = [sql, ...past.filter((p) => p !== sql)].slice(0, MOST);
    setPast(kept);
    setAt(-1);
    localStorage.setItem(KEPT, JSON.stringify(kept));
    try {
      const answer = await post<SqlReply>('/api/sql', { sql, maxRows: 1000 }, mine.signal);
      setReply(answer);
      if (!chartOf(answer)) setView('table');
    } catch (error) {
      if (mine.signal.aborted) return;
      setReply(null);
      setProblem(error instanceof ProblemError ? error.problem : { title: 'No answer', status: 0, detail: 'the server cannot be reached' });
      const position = error instanceof ProblemError ? error.problem.position : undefined;
      if (position && area.current) {
        area.current.focus();
        const from = [...sql].slice(0, position - 1).join('').length; // code points to UTF-16
        area.current.setSelectionRange(from, endOfWord(sql, from));
      }
    } finally {
      if (abort.current === mine) setBusy(false);
    }
  }

  const keys = (e: KeyboardEvent) => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) {
      e.preventDefault();
      void run(text);
    } else if (e.altKey && (e.key === 'ArrowUp' || e.key === 'ArrowDown')) {
      e.preventDefault();
      const next = Math.max(-1, Math.min(past.length - 1, at + (e.key === 'ArrowUp' ? 1 : -1)));
      setAt(next);
      if (next >= 0) setText(past[next]);
    }
  };
  const chart = reply && chartOf(reply);
  return (
    <div class="page">
      <div class="top">
        <h1>SQL</h1>
        <p class="soft">Tables at their newest snapshot, and the live state of running windows.</p>
      </div>
      <div class="split wide-left sql">
        <div class="stack">
          <Panel title="Statement" id="statement">
            <div class="editor">
              <textarea
                ref={area} value={text} onInput={(e) => setText(e.currentTarget.value)} onKeyDown={keys} rows={Math.min(16, Math.max(6, text.split('\n').length + 1))}
                spellcheck={false} autocapitalize="off" autocomplete="off" aria-labelledby="h-statement" aria-describedby="sql-keys"
              />
              <div class="bar">
                <button type="button" class="primary" onClick={() => void run(text)} disabled={busy || text.trim() === ''}>
                  {busy ? 'Running' : 'Run'}
                </button>
                {busy && (
                  <button type="button" onClick={() => (abort.current?.abort(), setBusy(false))}>
                    Cancel
                  </button>
                )}
                <span class="soft" id="sql-keys">
                  <kbd>Ctrl</kbd> <kbd>Enter</kbd> runs<span class="desk">, <kbd>Alt</kbd> <kbd>↑</kbd> <kbd>↓</kbd> walks the history</span>
                </span>
              </div>
            </div>
          </Panel>
          <div aria-live="polite">
            {problem && <Fault problem={problem} sql={ran} />}
            {reply && (
              <Panel
                title="Result" note={`${reply.tag && reply.columns.length === 0 ? reply.tag : plural(reply.rowCount, 'row')}${reply.truncated ? ', cut' : ''} in ${millis(reply.tookMillis)}`}
                actions={chart && <Choice label="Show as" value={view} onChange={setView} options={[{ value: 'table', text: 'Table' }, { value: 'chart', text: 'Chart' }]} />}
              >
                {view === 'chart' && chart ? (
                  <LineChart {...chart} height={300} />
                ) : reply.columns.length > 0 ? (
                  <Grid
                    label="Result" tall rows={reply.rows.slice(0, 500)} rowKey={(_, i) => String(i)}
                    columns={reply.columns.map((c, i) => ({
                      name: c.name, right: numeric(c.type),
                      cell: (row: Cell[]) => (row[i] === null ? <span class="null">NULL</span> : typeof row[i] === 'number' && !Number.isInteger(row[i]) ? String(row[i]) : cell(row[i])),
                    }))}
                  />
                ) : (
                  <Empty title="Done" />
                )}
                {reply.rows.length > 500 && <p class="soft pad">The first 500 rows are shown; all {integer(reply.rowCount)} are in the chart.</p>}
              </Panel>
            )}
          </div>
        </div>
        <Shelf past={past} pick={(sql) => (setText(sql), area.current?.focus())} />
      </div>
    </div>
  );
}

function Fault(props: { problem: Problem; sql: string }) {
  const { problem, sql } = props;
  const line = problem.line ? sql.split('\n')[problem.line - 1] : null;
  return (
    <div class="problem" role="alert">
      <p class="strong">
        {problem.detail} {problem.sqlState && <code>{problem.sqlState}</code>}
      </p>
      {line !== null && line !== undefined && problem.column && (
        <pre class="caret">
          <span class="soft">{String(problem.line).padStart(3)} │ </span>
          {line}
          {'\n'}
          <span class="soft">{'    │ '}</span>
          {' '.repeat(problem.column - 1)}
          <b>^</b>
        </pre>
      )}
      {problem.hint && <p>{problem.hint}</p>}
    </div>
  );
}

function Shelf(props: { past: string[]; pick: (sql: string) => void }) {
  const { jobs } = useLive(2000);
  const { value } = useFetched<{ tables: Table[] }>('/api/tables', 15_000);
  const examples = [
    ...(value?.tables ?? []).slice(0, 4).map((t) => `SELECT *\nFROM ${t.namespace}.${t.name}\nLIMIT 100;`),
    ...(jobs ?? []).filter((j) => j.state === 'running').flatMap((j) => j.outputs.map((o) => `SELECT *\nFROM live.${o.name}\nLIMIT 100;`)).slice(0, 3),
  ];
  return (
    <div class="stack">
      <Panel title="To start with">
        {examples.length ? (
          <ul class="shelf">
            {examples.map((sql) => (
              <li>
                <button type="button" onClick={() => props.pick(sql)}>
                  <code>{sql.replace(/\s+/g, ' ')}</code>
                </button>
              </li>
            ))}
          </ul>
        ) : (
          <Empty title="No tables yet" command="./millrace demo" />
        )}
        <p class="soft pad">The same from a shell: <code>./millrace sql "SELECT 1"</code> or any PostgreSQL client.</p>
      </Panel>
      {props.past.length > 0 && (
        <Panel title="History">
          <ul class="shelf">
            {props.past.slice(0, 12).map((sql) => (
              <li>
                <button type="button" onClick={() => props.pick(sql)}>
                  <code>{sql.replace(/\s+/g, ' ')}</code>
                </button>
              </li>
            ))}
          </ul>
        </Panel>
      )}
    </div>
  );
}

const numeric = (type: string) => /INT|DECIMAL|DOUBLE|FLOAT|REAL|NUMERIC/i.test(type);
const temporal = (type: string) => /TIMESTAMP|DATE/i.test(type);

function endOfWord(text: string, from: number) {
  const rest = /^\W?\w*/.exec(text.slice(from))?.[0].length ?? 1;
  return from + Math.max(1, rest);
}

/** The keys with the largest sums: more lines than that nobody can tell apart. */
function largest(reply: SqlReply, word: number, number: number): string[] {
  const sums = new Map<string, number>();
  for (const row of reply.rows) sums.set(cell(row[word]), (sums.get(cell(row[word])) ?? 0) + Math.abs(Number(row[number])));
  return [...sums].sort((a, b) => b[1] - a[1]).slice(0, SERIES).map(([name]) => name);
}

/** A result with a time or text column and numbers can be a chart; a text column beside a time one splits it into lines. */
function chartOf(reply: SqlReply): Parameters<typeof LineChart>[0] | null {
  const time = reply.columns.findIndex((c) => temporal(c.type));
  const numbers = reply.columns.map((c, i) => (numeric(c.type) ? i : -1)).filter((i) => i >= 0);
  const word = reply.columns.findIndex((c) => /VARCHAR|TEXT|STRING/i.test(c.type));
  if (numbers.length === 0 || reply.rows.length < 2) return null;
  if (time >= 0) {
    const stamps = [...new Set(reply.rows.map((r) => Date.parse(String(r[time]))))].filter(Number.isFinite).sort((a, b) => a - b);
    if (stamps.length < 2) return null;
    const index = new Map(stamps.map((s, i) => [s, i]));
    const lines: Line[] = [];
    const names = word >= 0 ? largest(reply, word, numbers[0]) : numbers.slice(0, SERIES).map((n) => reply.columns[n].name);
    names.forEach((name, k) => lines.push({ label: name, color: `--s${k}`, values: stamps.map(() => null) }));
    for (const row of reply.rows) {
      const i = index.get(Date.parse(String(row[time])));
      if (i === undefined) continue;
      if (word >= 0) {
        const k = names.indexOf(cell(row[word]));
        if (k >= 0) lines[k].values[i] = Number(row[numbers[0]]);
      } else numbers.slice(0, SERIES).forEach((n, k) => (lines[k].values[i] = row[n] === null ? null : Number(row[n])));
    }
    return { at: stamps, lines, format: measure, summary: `${reply.columns[numbers[0]].name} from ${clock(stamps[0])} to ${clock(stamps[stamps.length - 1])}; the table has the figures` };
  }
  if (word < 0) return null;
  return {
    at: reply.rows.map((_, i) => i), time: false, marks: reply.rows.map((r) => cell(r[word])), format: measure,
    lines: numbers.slice(0, SERIES).map((n, k) => ({ label: reply.columns[n].name, color: `--s${k}`, values: reply.rows.map((r) => (r[n] === null ? null : Number(r[n]))), fill: true })),
    summary: `${reply.columns[numbers[0]].name} by ${reply.columns[word].name}; the table has the figures`,
  };
}
