/**
 * @file Metrics of a training run as JSON lines: `{"step":40,"time":1767225600.5,"loss":3.21}`, one line a step. A run
 * that was cut off and resumes drops what it will do again, so the file has each step exactly once, in order.
 */

import { existsSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { XPromptError } from "../../errors.ts";
import { attempt, readFileChecked, writeFileAtomic } from "../../runtime/files.ts";

/** One line. `time` is in seconds since 1970. A value that was not finite comes back as NaN. */
export interface MetricsLine {
  readonly step: number;
  readonly time: number;
  readonly [name: string]: number;
}

export interface MetricsLogOptions {
  /** The last step whose metrics stay: the step of the checkpoint that a run resumes from. Without it, none stay. */
  readonly resumeAt?: number;
  /** Milliseconds since 1970. Defaults to the system's clock. */
  readonly clock?: () => number;
}

export class MetricsLog {
  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private last: number,
    private readonly clock: () => number,
  ) {}

  /**
   * Opens the file at `path`, which need not exist.
   * @throws XPromptError when it exists and is no metrics file, or cannot be written
   */
  static async open(
    path: string,
    { resumeAt, clock = Date.now }: MetricsLogOptions = {},
  ): Promise<MetricsLog> {
    const kept =
      resumeAt === undefined ? [] : (await readMetrics(path)).filter((line) => line.step <= resumeAt);
    await writeFileAtomic(path, kept.map(format).join(""));
    const file = await attempt(`opening ${path}`, path, () => open(path, "a"));
    return new MetricsLog(path, file, kept.at(-1)?.step ?? Number.NEGATIVE_INFINITY, clock);
  }

  /**
   * Adds the line of `step`, in one write.
   * @throws RangeError when `step` does not come after the last one
   */
  async append(step: number, values: Readonly<Record<string, number>>): Promise<void> {
    if (!(step > this.last)) {
      throw new RangeError(`${this.path}: expected a step after ${this.last}, got ${step}`);
    }
    this.last = step;
    const line = format({ ...values, step, time: this.clock() / 1000 });
    await attempt(`writing ${this.path}`, this.path, () => this.file.appendFile(line));
  }

  /** Makes sure that the disk has every line so far; call it before a checkpoint that relies on them. */
  async flush(): Promise<void> {
    await attempt(`writing ${this.path}`, this.path, () => this.file.datasync());
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * The lines of a metrics file, without a last one that was cut off; none when there is no file.
 * @throws XPromptError when another line is no line of metrics
 */
export async function readMetrics(path: string): Promise<MetricsLine[]> {
  if (!existsSync(path)) return [];
  const lines = (await readFileChecked(path, "metrics")).toString("utf8").split("\n");
  // A whole line ends in a newline: what follows the last one is nothing, or was cut off.
  return lines.slice(0, -1).map((text, index) => {
    const line = parse(text);
    if (line) return line;
    throw new XPromptError(
      `reading metrics ${path}: line ${index + 1}: expected {"step":…,"time":…,…}, got ${text.slice(0, 80)} (is it the right file?)`,
    );
  });
}

function parse(text: string): MetricsLine | undefined {
  let line: unknown;
  try {
    line = JSON.parse(text, (_key, value) => (value === null ? Number.NaN : value));
  } catch {
    return undefined;
  }
  if (typeof line !== "object" || Array.isArray(line)) return undefined;
  const values = line as Record<string, unknown>;
  const numeric = Object.values(values).every((value) => typeof value === "number");
  return numeric && "step" in values && "time" in values ? (values as unknown as MetricsLine) : undefined;
}

/** Step and time lead. JSON has no NaN or infinity: they become null. */
function format({ step, time, ...values }: MetricsLine): string {
  return `${JSON.stringify({ step, time, ...values })}\n`;
}
