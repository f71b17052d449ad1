const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const integer = (value: number) => whole.format(value);

/** 1,234 up to five digits, then 12.3K, 4.5M. */
export const count = (value: number) => (Math.abs(value) < 100_000 ? whole.format(value) : compact.format(value));

export const rate = (value: number) => (value > 0 && value < 10 ? value.toFixed(1) : count(value));

export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function millis(value: number): string {
  if (value < 1) return value <= 0 ? '0 ms' : '<1 ms';
  if (value < 1000) return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
  return duration(value);
}

export function duration(ms: number): string {
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 129_600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86_400)} d`;
}

export const percent = (share: number) => (share === 0 ? '0 %' : share < 0.0001 ? '<0.01 %' : `${(share * 100).toFixed(share < 0.1 ? 2 : 1)} %`);

export function ago(iso: string | null, now: number): string {
  if (!iso) return 'never';
  const past = now - Date.parse(iso);
  return past < 1500 ? 'just now' : `${duration(past)} ago`;
}

const pad = (n: number) => String(n).padStart(2, '0');

export function clock(ms: number, seconds = true): string {
  const d = new Date(ms);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}${seconds ? `:${pad(d.getSeconds())}` : ''}`;
}

export function stamp(iso: string): string {
  const d = new Date(iso);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${clock(d.getTime())}`;
}

/** A cell of a result as text. */
export function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value);
}

export function measure(value: number): string {
  if (!Number.isFinite(value)) return '';
  const size = Math.abs(value);
  if (size >= 100_000) return compact.format(value);
  if (Number.isInteger(value)) return whole.format(value);
  return new Intl.NumberFormat('en', { maximumFractionDigits: size < 10 ? 2 : size < 1000 ? 1 : 0 }).format(value);
}

export const plural = (n: number, one: string, many = one + 's') => `${count(n)} ${n === 1 ? one : many}`;
