/**
 * @file Progress of long work, on standard error: a bar with rate and time left on a terminal, plain lines elsewhere.
 */
import cliProgress from "cli-progress";
import { formatDuration, formatNumber } from "./format.ts";

export interface ProgressOptions {
  /** What is being done: "training". */
  readonly label: string;
  /** The value at which the work is done. */
  readonly total: number;
  /** The value at which it starts, for work that resumes. Defaults to 0. */
  readonly start?: number;
  /** What is counted, in the plural. Defaults to "steps". */
  readonly unit?: string;
  /** At most one plain line in this many seconds. Defaults to 10. */
  readonly every?: number;
  /** Defaults to standard error. */
  readonly stream?: ProgressStream;
  /** Milliseconds from any origin. Defaults to a clock that never jumps. */
  readonly clock?: () => number;
}

export type ProgressStream = NodeJS.WritableStream & { readonly isTTY?: boolean };

/** What else to show, by name: a loss, tokens/s. */
export type ProgressFields = Readonly<Record<string, number | string>>;

/** Work that has gone on for less has no rate yet. */
const MEASURABLE_MS = 20;

/** The rate is that of the last half minute or more, so that a slow start is soon forgotten. */
const RATE_WINDOW_MS = 30_000;

/** Columns of the bar where there is room. */
const BAR_WIDTH = 24;

/**
 * @example
 * const progress = new Progress({ label: "training", total: steps });
 * try {
 *   for (let step = 1; step <= steps; step++) progress.update(step, { loss: await train(step) });
 * } finally {
 *   progress.stop();
 * }
 */
export class Progress {
  private readonly unit: string;
  private readonly every: number;
  private readonly stream: ProgressStream;
  private readonly clock: () => number;
  private readonly bar: cliProgress.SingleBar | undefined;
  private readonly began: number;
  private value: number;
  private fields: ProgressFields = {};
  private marks: { time: number; value: number }[];
  private shown: { time: number; value: number } | undefined;
  private stopped = false;

  constructor(private readonly options: ProgressOptions) {
    const { total, start = 0, unit = "steps", every = 10, stream = process.stderr } = options;
    this.unit = unit;
    this.every = every;
    this.stream = stream;
    this.clock = options.clock ?? (() => performance.now());
    this.began = this.clock();
    this.value = start;
    this.marks = [{ time: this.began, value: start }];
    if (!stream.isTTY) return;
    this.bar = new cliProgress.SingleBar({
      stream,
      forceRedraw: true,
      linewrap: true, // cuts the line to the terminal's width, and leaves its modes as they are
      gracefulExit: false, // signals are the command line's business
      format: (_options, { progress, maxWidth }) => this.draw(progress, maxWidth - 1),
    });
    this.bar.start(total, start);
  }

  /** The work has come to `value`. Fields stay until they are given again. */
  update(value: number, fields: ProgressFields = {}): void {
    if (this.stopped) return;
    this.value = value;
    this.fields = { ...this.fields, ...fields };
    this.mark();
    if (this.bar) this.bar.update(value);
    else if (!this.shown || this.clock() - this.shown.time >= this.every * 1000) this.print();
  }

  /** A line of its own, above the bar. */
  note(line: string): void {
    const drawing = this.bar && !this.stopped;
    // cli-progress goes back to the saved cursor when it stops: the bar has moved down, so has that.
    this.stream.write(drawing ? `\r\x1b[K${line}\n\x1b7` : `${line}\n`);
  }

  /** Shows the last state, however the work ended. Calling it again does nothing. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    if (this.bar) this.bar.stop();
    else if (this.shown?.value !== this.value) this.print();
  }

  /** Label, bar and words in at most `width` columns: the bar gives way first. */
  private draw(progress: number, width: number): string {
    const { label } = this.options;
    const words = this.describe();
    const room = Math.min(BAR_WIDTH, width - `${label}  ${words}`.length);
    const full = Math.round(progress * room);
    const bar = room < 8 ? "" : `${"█".repeat(full)}${"░".repeat(room - full)} `;
    return `${label} ${bar}${words}`.slice(0, width);
  }

  private print(): void {
    this.shown = { time: this.clock(), value: this.value };
    this.stream.write(`${this.options.label}: ${this.describe()}\n`);
  }

  /** Remembers one point a second, and forgets those that are older than the window. */
  private mark(): void {
    const time = this.clock();
    if (time - this.marks.at(-1)!.time < 1000) return;
    this.marks.push({ time, value: this.value });
    while (this.marks.length > 2 && this.marks[1]!.time <= time - RATE_WINDOW_MS) this.marks.shift();
  }

  /** `120/2000 steps (6%), 3.4 steps/s, 9m 12s left, loss 3.21`; when nothing is left, the time it took. */
  private describe(): string {
    const { total } = this.options;
    const now = this.clock();
    const { time, value } = this.marks[0]!;
    const rate = now - time >= MEASURABLE_MS ? (1000 * (this.value - value)) / (now - time) : 0;
    const share = total > 0 ? Math.floor((100 * this.value) / total) : 100;
    const parts = [`${this.value}/${total} ${this.unit} (${share}%)`];
    if (rate > 0) parts.push(formatRate(rate, this.unit));
    if (this.value >= total || this.stopped) parts.push(`took ${formatDuration((now - this.began) / 1000)}`);
    else if (rate > 0) parts.push(`${formatDuration((total - this.value) / rate)} left`);
    for (const [name, field] of Object.entries(this.fields)) {
      parts.push(`${name} ${typeof field === "number" ? formatNumber(field) : field}`);
    }
    return parts.join(", ");
  }
}

/** `3.4 steps/s`, or `12s per step` where one takes long. */
function formatRate(perSecond: number, unit: string): string {
  if (perSecond >= 0.5) return `${formatNumber(perSecond)} ${unit}/s`;
  return `${formatDuration(1 / perSecond)} per ${unit.replace(/(?<=ch|sh|x)es$|s$/, "")}`;
}
