import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { XPromptError } from "../../../src/errors.ts";
import { MetricsLog, type MetricsLogOptions, readMetrics } from "../../../src/training/run/metrics.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-metrics-"));
  path = join(folder, "metrics.jsonl");
});
afterEach(() => rm(folder, { recursive: true }));

const clock = () => 1767225600500;

async function write(steps: readonly number[], options: MetricsLogOptions = {}): Promise<void> {
  const log = await MetricsLog.open(path, { clock, ...options });
  for (const step of steps) await log.append(step, { loss: step / 2 });
  await log.flush();
  await log.close();
}

const steps = async () => (await readMetrics(path)).map((line) => line.step);

describe("MetricsLog", () => {
  test("writes one JSON line per step: step, seconds, values", async () => {
    const log = await MetricsLog.open(path, { clock });
    await log.append(10, { loss: 3.25, "accuracy/text": 0.5 });
    await log.append(20, { loss: Number.NaN });
    expect(await readFile(path, "utf8")).toBe(
      '{"step":10,"time":1767225600.5,"loss":3.25,"accuracy/text":0.5}\n{"step":20,"time":1767225600.5,"loss":null}\n',
    );
    expect(await readMetrics(path)).toEqual([
      { step: 10, time: 1767225600.5, loss: 3.25, "accuracy/text": 0.5 },
      { step: 20, time: 1767225600.5, loss: Number.NaN },
    ]);
    await log.close();
  });

  test("drops the lines after the checkpoint on resuming, and continues from there", async () => {
    await write([0, 1, 2, 3, 4]);
    await write([3, 4, 5], { resumeAt: 2, clock: () => 0 });
    expect(await steps()).toEqual([0, 1, 2, 3, 4, 5]);
    expect((await readMetrics(path)).map((line) => line.time > 0)).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(await readdir(folder)).toEqual(["metrics.jsonl"]);
  });

  test("drops a truncated last line", async () => {
    await write([2]);
    const line = (await readFile(path)).length;
    for (let size = line; size < 2 * line; size++) {
      await write([2, 4]);
      await truncate(path, size);
      expect(await steps()).toEqual([2]);
      await write([4], { resumeAt: 4 });
      expect(await steps()).toEqual([2, 4]);
    }
  });

  test("a fresh run starts empty; a resumed one may find no file", async () => {
    await write([1, 2]);
    await write([7]);
    expect(await steps()).toEqual([7]);
    await rm(path);
    await write([8], { resumeAt: 7 });
    expect(await steps()).toEqual([8]);
  });

  test("never writes a step twice or backwards", async () => {
    await write([1, 2]);
    const log = await MetricsLog.open(path, { clock, resumeAt: 2 });
    await expect(log.append(2, { loss: 1 })).rejects.toThrow(RangeError);
    await log.append(3, { loss: 1 });
    await expect(log.append(3, { loss: 1 })).rejects.toThrow("expected a step after 3, got 3");
    await log.close();
    expect(await steps()).toEqual([1, 2, 3]);
  });

  test("names the line of a foreign file, and does not change the file", async () => {
    for (const foreign of ["not json", "[1]", "null", '{"step":1}', '{"step":1,"time":"noon"}']) {
      await writeFile(path, `{"step":0,"time":1}\n${foreign}\n{"step":2,"time":1}\n`);
      const failing = MetricsLog.open(path, { resumeAt: 5 });
      await expect(failing).rejects.toBeInstanceOf(XPromptError);
      await expect(failing).rejects.toThrow("line 2: expected");
      expect(await readFile(path, "utf8")).toContain(foreign);
    }
  });
});
