import type { Cell, LiveOutput } from '../api';

export interface Bar {
  at: number;
  /** Still taking rows. */
  open: boolean;
  /** Told by the table: it changes no more. */
  final: boolean;
  /** By key, one value a measure. */
  values: Map<string, number[]>;
}

/**
 * Windows of one output over time: closed ones from its table, open ones from live frames. A live window replaces what was known of
 * it; when it closes, its last rows stay until the table tells the final ones.
 */
export class Windows {
  bars: Bar[] = [];
  measures: string[] = [];
  keyNames: string[] = [];

  constructor(private readonly keep = 60) {}

  take(live: LiveOutput) {
    const { window, keys, measures } = roles(live);
    if (window < 0) return;
    this.measures = measures.map((i) => live.columns[i].name);
    this.keyNames = keys.map((i) => live.columns[i].name);
    for (const bar of this.bars) bar.open = false;
    const fresh = new Map<number, Bar>();
    for (const row of live.rows) add(fresh, row, window, keys, measures, true);
    this.merge(fresh, true);
  }

  /** Rows of the output's table, its columns in any order. */
  history(live: LiveOutput, columns: string[], rows: Cell[][], cut: boolean) {
    const map = live.columns.map((c) => columns.indexOf(c.name));
    if (map.includes(-1)) return;
    const { window, keys, measures } = roles(live);
    if (window < 0) return;
    const closed = new Map<number, Bar>();
    for (const row of rows) add(closed, row, map[window], keys.map((k) => map[k]), measures.map((m) => map[m]), false);
    // The oldest one may be cut off by the row limit.
    if (cut && closed.size > 1) closed.delete(Math.min(...closed.keys()));
    this.merge(closed, false);
  }

  /** The oldest window that the table has not told yet; null when nothing is known from it. */
  since(): number | null {
    return this.bars.some((b) => b.final) ? (this.bars.find((b) => !b.final)?.at ?? null) : null;
  }

  /** Keys by the size of their measure over what is shown, largest first. */
  keys(measure: number, most: number): string[] {
    const sums = new Map<string, number>();
    for (const bar of this.bars) for (const [key, values] of bar.values) sums.set(key, (sums.get(key) ?? 0) + (values[measure] || 0));
    return [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, most).map(([key]) => key);
  }

  private merge(fresh: Map<number, Bar>, live: boolean) {
    const open = new Set(this.bars.filter((b) => b.open).map((b) => b.at));
    const all = new Map(this.bars.map((b) => [b.at, b]));
    for (const [at, bar] of fresh) if (live || !open.has(at)) all.set(at, bar);
    this.bars = [...all.values()].sort((a, b) => a.at - b.at).slice(-this.keep);
  }
}

export function roles(live: LiveOutput) {
  const keys: number[] = [];
  const measures: number[] = [];
  let window = -1;
  live.roles.forEach((role, i) => {
    if (role === 'window') window = i;
    else if (role === 'key') keys.push(i);
    else if (role === 'measure') measures.push(i);
  });
  return { window, keys, measures };
}

function add(bars: Map<number, Bar>, row: Cell[], window: number, keys: number[], measures: number[], open: boolean) {
  const at = Date.parse(String(row[window]));
  if (!Number.isFinite(at)) return;
  let bar = bars.get(at);
  if (!bar) bars.set(at, (bar = { at, open, final: !open, values: new Map() }));
  bar.values.set(keys.map((k) => (row[k] === null ? 'null' : String(row[k]))).join(' · '), measures.map((m) => Number(row[m])));
}
