import type { History, Job, ProcessInfo } from '../api';

const KEEP = 600;

export interface JobSeries {
  perSecond: (number | null)[];
  quarantinedPerSecond: (number | null)[];
  p50: (number | null)[];
  p95: (number | null)[];
  p99: (number | null)[];
  lag: (number | null)[];
}

const NAMES = ['perSecond', 'quarantinedPerSecond', 'p50', 'p95', 'p99', 'lag'] as const;

/** One sample a second of each job, the last ten minutes: from the server's memory first, then from the frames. */
export class Series {
  at: number[] = [];
  cores: number[] = [];
  resident: number[] = [];
  jobs = new Map<string, JobSeries>();
  private last = new Map<string, { at: number; quarantined: number }>();

  load(history: History) {
    this.at = history.at.slice();
    this.cores = history.cores.slice();
    this.resident = history.residentBytes.slice();
    this.jobs.clear();
    for (const { job, ...series } of history.jobs) this.jobs.set(job, series);
  }

  add(now: number, jobs: Job[], process: ProcessInfo) {
    if (this.at.length > 0 && now - this.at[this.at.length - 1] < 900) return;
    this.at.push(now);
    this.cores.push(process.cores);
    this.resident.push(process.residentBytes);
    for (const job of jobs) {
      const series = this.of(job.name);
      const quarantined = job.sources.reduce((n, s) => n + s.quarantined, 0);
      const before = this.last.get(job.name);
      const bad = before && now > before.at ? Math.max(0, ((quarantined - before.quarantined) * 1000) / (now - before.at)) : 0;
      this.last.set(job.name, { at: now, quarantined });
      const running = job.state === 'running' || job.state === 'paused';
      series.perSecond.push(running ? perSecond(job) : null);
      series.quarantinedPerSecond.push(running ? bad : null);
      series.p50.push(running ? job.latency.p50 : null);
      series.p95.push(running ? job.latency.p95 : null);
      series.p99.push(running ? job.latency.p99 : null);
      series.lag.push(running ? lag(job) : null);
    }
    for (const series of this.jobs.values()) {
      for (const name of NAMES) if (series[name].length < this.at.length) series[name].push(null);
    }
    if (this.at.length > KEEP) {
      for (const list of [this.at, this.cores, this.resident]) list.splice(0, list.length - KEEP);
      for (const series of this.jobs.values()) for (const name of NAMES) series[name].splice(0, series[name].length - KEEP);
    }
  }

  of(job: string): JobSeries {
    let series = this.jobs.get(job);
    if (!series) {
      const empty = () => new Array<number | null>(Math.max(0, this.at.length - 1)).fill(null);
      series = { perSecond: empty(), quarantinedPerSecond: empty(), p50: empty(), p95: empty(), p99: empty(), lag: empty() };
      this.jobs.set(job, series);
    }
    return series;
  }

  /** The sum over jobs, second by second. */
  total(name: keyof JobSeries, how: 'sum' | 'max' = 'sum'): (number | null)[] {
    return this.at.map((_, i) => {
      let sum: number | null = null;
      for (const series of this.jobs.values()) {
        const value = series[name][i];
        if (value !== null && value !== undefined) sum = sum === null ? value : how === 'sum' ? sum + value : Math.max(sum, value);
      }
      return sum;
    });
  }
}

export const perSecond = (job: Job) => job.sources.reduce((n, s) => n + s.perSecond, 0);
export const lag = (job: Job) => job.sources.reduce((n, s) => n + s.lag, 0);
