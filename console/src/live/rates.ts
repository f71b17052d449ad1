/** Rates of counters over the last seconds, for figures that the server counts but does not derive. */
export class Rates {
  private samples = new Map<string, { at: number; value: number }[]>();

  constructor(private readonly span = 3000) {}

  of(name: string, value: number, now: number): number {
    let list = this.samples.get(name);
    if (!list) this.samples.set(name, (list = []));
    const last = list[list.length - 1];
    if (!last || now - last.at >= 200) list.push({ at: now, value });
    while (list.length > 2 && now - list[0].at > this.span) list.shift();
    const first = list[0];
    // A counter that fell was started anew.
    if (value < first.value) {
      this.samples.set(name, [{ at: now, value }]);
      return 0;
    }
    return now - first.at < 300 ? 0 : ((value - first.value) * 1000) / (now - first.at);
  }
}
