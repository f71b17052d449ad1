import { useEffect, useReducer } from 'preact/hooks';
import { get, type History, type Job, type LiveOutput, type OutputFrame, type OverviewFrame, type ProcessInfo, whoAmI } from '../api';
import { Series } from './series';

export type Connection = 'connecting' | 'live' | 'lost';

/** What the server told last. One event stream serves the whole page; it is closed while the page is hidden. */
class Live {
  connection: Connection = 'connecting';
  process: ProcessInfo | null = null;
  jobs: Job[] | null = null;
  outputs = new Map<string, Map<string, LiveOutput>>();
  series = new Series();
  /** Server time minus ours: ages are told in the server's time. */
  skew = 0;
  frames = 0;

  private source: EventSource | null = null;
  private watched: string | null = null;
  private listeners = new Set<() => void>();
  private scheduled = false;
  private reopen = 0;

  start() {
    document.addEventListener('visibilitychange', () => (document.hidden ? this.close() : this.open()));
    setInterval(() => {
      if (this.connection === 'live' && !document.hidden) {
        if (this.jobs && this.process) this.series.add(this.now(), this.jobs, this.process);
        this.notify();
      }
    }, 1000);
    setInterval(() => void this.refreshProcess(), 5000);
    this.open();
  }

  /** Asks for live rows of one job's outputs; null for none. */
  watch(job: string | null) {
    if (job === this.watched) return;
    this.watched = job;
    if (!document.hidden) this.open();
  }

  now = () => Date.now() + this.skew;

  subscribe(listener: () => void) {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  private close() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.reopen);
  }

  private open() {
    this.close();
    if (this.connection !== 'live') void this.loadHistory();
    const query = this.watched === null ? 'kinds=overview' : `kinds=overview,output&job=${encodeURIComponent(this.watched)}`;
    const source = new EventSource('/api/events?' + query);
    this.source = source;
    source.addEventListener('overview', (e) => this.overview(JSON.parse((e as MessageEvent<string>).data) as OverviewFrame));
    source.addEventListener('output', (e) => this.output(JSON.parse((e as MessageEvent<string>).data) as OutputFrame));
    source.onopen = () => {
      // Nothing is sent to one who has seen the newest frame, so the open connection itself is the good news.
      if (this.connection === 'lost') {
        if (this.jobs) this.connection = 'live';
        void this.loadHistory();
      }
    };
    source.onerror = () => {
      if (source !== this.source) return;
      this.connection = 'lost';
      this.notify();
      // The stream does not say why it was refused; it may be that the session ended.
      if (source.readyState === EventSource.CLOSED) whoAmI().catch(() => undefined);
      // A refused connection (503, server gone) is not tried again by the browser in all cases.
      if (source.readyState === EventSource.CLOSED) this.reopen = setTimeout(() => this.open(), 2000);
    };
  }

  private overview(frame: OverviewFrame) {
    this.connection = 'live';
    this.skew = frame.at - Date.now();
    this.process = frame.process;
    this.jobs = frame.jobs;
    this.frames++;
    const names = new Set(frame.jobs.map((j) => j.name));
    for (const name of this.outputs.keys()) if (!names.has(name)) this.outputs.delete(name);
    this.notify();
  }

  private output(frame: OutputFrame) {
    this.connection = 'live';
    this.frames++;
    for (const job of frame.jobs) {
      // A frame brings the outputs whose rows are new; the others stand as they were.
      const known = this.outputs.get(job.job) ?? new Map<string, LiveOutput>();
      for (const output of job.outputs) known.set(output.output, output);
      this.outputs.set(job.job, known);
    }
    this.notify();
  }

  private async loadHistory() {
    try {
      this.series.load(await get<History>('/api/history'));
      this.notify();
    } catch {
      // The stream tells that the server is away; the charts start empty.
    }
  }

  /** Frames come only when jobs change; the machine's figures move on their own. */
  private async refreshProcess() {
    if (document.hidden || this.connection !== 'live') return;
    try {
      this.process = (await get<{ process: ProcessInfo }>('/api/status')).process;
      this.notify();
    } catch {
      // The stream tells that the server is away.
    }
  }

  private notify() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      for (const listener of [...this.listeners]) listener();
    });
  }
}

export const live = new Live();

/** Renders with every frame, or at most each `every` ms: figures that people read should not flicker. */
export function useLive(every = 0): Live {
  const [, render] = useReducer<number, void>((n) => n + 1, 0);
  useEffect(() => {
    let last = 0;
    let timer = 0;
    const stop = live.subscribe(() => {
      const wait = last + every - performance.now();
      if (wait <= 0) {
        last = performance.now();
        render();
      } else if (!timer) {
        timer = setTimeout(() => {
          timer = 0;
          last = performance.now();
          render();
        }, wait);
      }
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [every]);
  return live;
}
