export type Theme = 'system' | 'light' | 'dark';

const KEY = 'millrace.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set<() => void>();

export function theme(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === 'light' || kept === 'dark' ? kept : 'system';
}

export function setTheme(value: Theme) {
  if (value === 'system') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, value);
  applyTheme();
}

export function applyTheme() {
  const value = theme();
  document.documentElement.dataset.theme = value === 'system' ? (dark.matches ? 'dark' : 'light') : value;
  for (const listener of listeners) listener();
}

dark.addEventListener('change', applyTheme);

/** Canvas charts take their colours from the style sheet and must hear of a change. */
export function onTheme(listener: () => void) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

export const token = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
