import { useEffect, useRef, useState } from 'preact/hooks';
import { get, ProblemError, type Problem } from '../api';

export interface Fetched<T> {
  value: T | null;
  problem: Problem | null;
  again: () => void;
}

/**
 * A GET that is repeated while the page is seen: each `every` ms, and soon after `version` changed (at most once a second).
 */
export function useFetched<T>(path: string | null, every = 0, version: unknown = 0): Fetched<T> {
  const [state, setState] = useState<{ path: string | null; value: T | null; problem: Problem | null }>({ path, value: null, problem: null });
  const [asked, ask] = useState(0);
  const last = useRef(0);

  useEffect(() => {
    if (path === null) return;
    const abort = new AbortController();
    const load = () => {
      last.current = performance.now();
      get<T>(path, abort.signal).then(
        (value) => setState({ path, value, problem: null }),
        (error: unknown) => {
          if (abort.signal.aborted) return;
          const problem = error instanceof ProblemError ? error.problem : { title: 'No answer', status: 0, detail: 'the server cannot be reached' };
          setState((old) => ({ path, value: old.path === path ? old.value : null, problem }));
        },
      );
    };
    const first = setTimeout(load, state.path === path ? Math.max(0, last.current + 1000 - performance.now()) : 0);
    const timer = every ? setInterval(() => !document.hidden && load(), every) : 0;
    return () => {
      abort.abort();
      clearTimeout(first);
      clearInterval(timer);
    };
  }, [path, every, version, asked]);

  return { value: state.path === path ? state.value : null, problem: state.path === path ? state.problem : null, again: () => ask((n) => n + 1) };
}
