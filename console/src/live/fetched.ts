import { useEffect, useRef, useState } from 'preact/hooks';
import { get, ProblemError, type Problem } from '../api';

export interface Fetched<T> {
  value: T | null;
  problem: Problem | null;
  again: () => void;
}

/**
 * A GET that is repeated while the page is seen: each `every` ms, and soon after `version` changed, but never more than once a second
 * and never before the answer to the last one came.
 */
export function useFetched<T>(path: string | null, every = 0, version: unknown = 0): Fetched<T> {
  const [state, setState] = useState<{ path: string | null; value: T | null; problem: Problem | null }>({ path, value: null, problem: null });
  const ask = useRef<() => void>(() => undefined);

  useEffect(() => {
    if (path === null) return;
    const abort = new AbortController();
    let last = -1000;
    let timer = 0;
    let busy = false;
    let wanted = false;
    const load = () => {
      timer = 0;
      busy = true;
      wanted = false;
      last = performance.now();
      get<T>(path, abort.signal)
        .then(
          (value) => setState({ path, value, problem: null }),
          (error: unknown) => {
            if (abort.signal.aborted) return;
            const problem = error instanceof ProblemError ? error.problem : { title: 'No answer', status: 0, detail: 'the server cannot be reached' };
            setState((old) => ({ path, value: old.path === path ? old.value : null, problem }));
          },
        )
        .finally(() => {
          busy = false;
          if (wanted && !abort.signal.aborted) ask.current();
        });
    };
    ask.current = () => {
      if (busy) wanted = true;
      else if (!timer) timer = setTimeout(load, Math.max(0, last + 1000 - performance.now()));
    };
    ask.current();
    const repeat = every ? setInterval(() => !document.hidden && ask.current(), every) : 0;
    return () => {
      abort.abort();
      clearTimeout(timer);
      clearInterval(repeat);
      ask.current = () => undefined;
    };
  }, [path, every]);

  const first = useRef(true);
  useEffect(() => {
    if (!first.current) ask.current();
    first.current = false;
  }, [version]);

  return { value: state.path === path ? state.value : null, problem: state.path === path ? state.problem : null, again: () => ask.current() };
}
