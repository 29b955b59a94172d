/**
 * @file Metrics of a training run as JSON lines, one line per step: `{"step":40,"time":1767225600.5,"loss":3.21}`. A
 * resumed run drops the lines of the steps that it repeats, so the file has each step exactly once, in order.
 */

import { existsSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { XPromptError } from "../../errors.ts";
import { attempt, readFileChecked, writeFileAtomic } from "../../runtime/files.ts";

/** One line. `time` is in seconds since 1970. Values that were not finite are read as NaN. */
export interface MetricsLine {
  readonly step: number;
  readonly time: number;
  readonly [name: string]: number;
}

export interface MetricsLogOptions {
  /** The last step to keep: the step of the checkpoint to resume from. Without it, the file starts empty. */
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
   * @throws XPromptError when the file exists and is no metrics file, or cannot be written
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
   * Appends the line of `step`, in one write.
   * @throws RangeError when `step` is not larger than the last one
   */
  async append(step: number, values: Readonly<Record<string, number>>): Promise<void> {
    if (!(step > this.last)) {
      throw new RangeError(`${this.path}: expected a step after ${this.last}, got ${step}`);
    }
    this.last = step;
    const line = format({ ...values, step, time: this.clock() / 1000 });
    await attempt(`writing ${this.path}`, this.path, () => this.file.appendFile(line));
  }

  /** Flushes all lines to disk. Call it before saving a checkpoint. */
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
 * Reads the lines of a metrics file and drops a truncated last line. Returns no lines when there is no file.
 * @throws XPromptError when another line is invalid
 */
export async function readMetrics(path: string): Promise<MetricsLine[]> {
  if (!existsSync(path)) return [];
  const lines = (await readFileChecked(path, "metrics")).toString("utf8").split("\n");
  // Complete lines end in a newline: the part after the last newline is empty or a truncated line.
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

/** Step and time come first. JSON has no NaN or infinity: they become null. */
function format({ step, time, ...values }: MetricsLine): string {
  return `${JSON.stringify({ step, time, ...values })}\n`;
}
