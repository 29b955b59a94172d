/** @file Metrics in Prometheus's text format (https://prometheus.io/docs/instrumenting/exposition_formats/). */

type Labels = Readonly<Record<string, string | number>>;

/** Upper bounds of the histogram's buckets, in seconds. */
const BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

interface Histogram {
  readonly counts: number[];
  sum: number;
  count: number;
}

export class Metrics {
  private readonly counters = new Map<string, Map<string, number>>();
  private readonly histograms = new Map<string, Map<string, Histogram>>();
  private readonly help = new Map<string, string>();
  private readonly readings = new Map<string, { readonly type: string; readonly read: () => number }>();

  /** Adds to a counter. */
  count(name: string, help: string, labels: Labels = {}, by = 1): void {
    const series = this.series(this.counters, name, help);
    const key = labelText(labels);
    series.set(key, (series.get(key) ?? 0) + by);
  }

  /** Adds a duration in seconds to a histogram. */
  observe(name: string, help: string, labels: Labels, seconds: number): void {
    const series = this.series(this.histograms, name, help);
    const key = labelText(labels);
    const histogram = series.get(key) ?? { counts: BUCKETS.map(() => 0), sum: 0, count: 0 };
    for (const [i, bound] of BUCKETS.entries()) if (seconds <= bound) histogram.counts[i]!++;
    histogram.sum += seconds;
    histogram.count++;
    series.set(key, histogram);
  }

  /** A gauge; `read` is called for each scrape. */
  gauge(name: string, help: string, read: () => number): void {
    this.reading("gauge", name, help, read);
  }

  /** A counter that something else keeps; `read` is called for each scrape. */
  counter(name: string, help: string, read: () => number): void {
    this.reading("counter", name, help, read);
  }

  private reading(type: string, name: string, help: string, read: () => number): void {
    this.help.set(name, help);
    this.readings.set(name, { type, read });
  }

  text(): string {
    const lines: string[] = [];
    const begin = (name: string, type: string) =>
      lines.push(`# HELP ${name} ${this.help.get(name)}`, `# TYPE ${name} ${type}`);
    for (const [name, { type, read }] of this.readings) {
      begin(name, type);
      lines.push(`${name} ${read()}`);
    }
    for (const [name, series] of this.counters) {
      begin(name, "counter");
      for (const [labels, value] of series) lines.push(`${name}${braced(labels)} ${value}`);
    }
    for (const [name, series] of this.histograms) {
      begin(name, "histogram");
      for (const [labels, { counts, sum, count }] of series) {
        const bucket = (bound: string | number, value: number) =>
          lines.push(`${name}_bucket${braced(labels, `le="${bound}"`)} ${value}`);
        for (const [i, bound] of BUCKETS.entries()) bucket(bound, counts[i]!);
        bucket("+Inf", count);
        lines.push(`${name}_sum${braced(labels)} ${sum}`, `${name}_count${braced(labels)} ${count}`);
      }
    }
    return `${lines.join("\n")}\n`;
  }

  private series<T>(all: Map<string, Map<string, T>>, name: string, help: string): Map<string, T> {
    this.help.set(name, help);
    const series = all.get(name) ?? new Map<string, T>();
    all.set(name, series);
    return series;
  }
}

const labelText = (labels: Labels): string =>
  Object.entries(labels)
    .map(
      ([name, value]) =>
        `${name}="${String(value).replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`,
    )
    .join(",");

const braced = (...labels: readonly string[]): string => {
  const all = labels.filter((each) => each !== "").join(",");
  return all && `{${all}}`;
};
