import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { XPromptError } from "../../../src/errors.ts";
import { SampleStream, type SampleStreamOptions } from "../../../src/training/run/workers.ts";
import type { Batch, Options } from "../../fixtures/samples/source.ts";

const module = new URL("../../fixtures/samples/source.ts", import.meta.url);
const open: SampleStream<Batch, Options>[] = [];

function stream(options: Partial<Options>, how: Partial<SampleStreamOptions<Options>> = {}) {
  const made = new SampleStream<Batch, Options>({
    module,
    options: { seed: 1, ...options },
    workers: 2,
    ...how,
  });
  open.push(made);
  return made;
}

async function take(source: SampleStream<Batch, Options>, count: number): Promise<Batch[]> {
  const batches: Batch[] = [];
  for (let i = 0; i < count; i++) batches.push(await source.next());
  return batches;
}

const content = (batches: Batch[]) => batches.map(({ step, tokens, images }) => ({ step, tokens, images }));

afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
});

describe("SampleStream", () => {
  test("returns the steps in order, although threads finish out of order", async () => {
    const batches = await take(stream({ uneven: true }), 10);
    expect(batches.map((batch) => batch.step)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(batches.map((batch) => batch.images[0]!.pixels[7])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(new Set(batches.map((batch) => batch.thread)).size).toBe(2);
  });

  test("returns the same batches with 0, 1 and 3 workers, and after resuming", async () => {
    const whole = content(await take(stream({}, { workers: 0 }), 8));
    expect(content(await take(stream({}, { workers: 1 }), 8))).toEqual(whole);
    expect(content(await take(stream({ uneven: true }, { workers: 3 }), 8))).toEqual(whole);
    expect(content(await take(stream({}, { from: 5 }), 3))).toEqual(whole.slice(5));
    expect(content(await take(stream({}, { workers: 0, from: 5 }), 3))).toEqual(whole.slice(5));
  });

  test("prefetches at most `ahead` batches", async () => {
    const begun = new SharedArrayBuffer(4);
    const count = () => Atomics.load(new Int32Array(begun), 0);
    const source = stream({ begun }, { workers: 1, ahead: 3 });
    await source.next();
    await expect.poll(count).toBe(4);
    await stream({}, { workers: 1 }).next(); // Long enough for a fifth batch, if it were requested.
    expect(count()).toBe(4);
    await source.next();
    await expect.poll(count).toBe(5);
  });

  test("transfers arrays from the worker without copying them", async () => {
    const batches = await take(stream({}, { workers: 1 }), 3);
    expect(batches.map((batch) => batch.moved)).toEqual([false, true, true]);
    expect(batches.map((batch) => batch.tokens.length)).toEqual([4, 4, 4]);
  });

  test("overlapping calls get successive steps", async () => {
    const source = stream({}, { ahead: 0, from: 3 });
    const batches = await Promise.all([source.next(), source.next(), source.next()]);
    expect(batches.map((batch) => batch.step)).toEqual([3, 4, 5]);
  });

  test("iterates, and closes when the loop is left", async () => {
    const source = stream({}, { from: 7 });
    const steps: number[] = [];
    for await (const batch of source) {
      steps.push(batch.step);
      if (steps.length === 3) break;
    }
    expect(steps).toEqual([7, 8, 9]);
    await expect(source.next()).rejects.toThrow("closed");
  });

  for (const workers of [0, 2]) {
    test(`a failing step names the step and keeps the cause, with ${workers} workers`, async () => {
      const source = stream({ fault: "throw", at: 1 }, { workers });
      expect((await source.next()).step).toBe(0);
      const error = await source.next().catch((thrown: unknown) => thrown as Error);
      expect(error).toBeInstanceOf(Error);
      expect(error).not.toBeInstanceOf(XPromptError);
      expect(error).toHaveProperty("message", "making the batch of step 1: picture 3 is broken");
      expect((error as Error & { cause: Error }).cause.stack).toContain("source.ts");
      expect((await source.next()).step).toBe(2);
    });

    test(`an error of the user's stays one, with ${workers} workers`, async () => {
      const source = stream({ fault: "misuse", at: 0 }, { workers });
      const failing = source.next();
      await expect(failing).rejects.toBeInstanceOf(XPromptError);
      await expect(failing).rejects.toThrow("step 0: picture 3 is not a picture (delete it)");
    });

    test(`a source that cannot start fails each step, with ${workers} workers`, async () => {
      const source = stream({ fault: "start" }, { workers });
      await expect(source.next()).rejects.toThrow("step 0: no shards in /data");
      await expect(source.next()).rejects.toThrow("step 1: no shards in /data");
    });

    test(`a module without createSource is named, with ${workers} workers`, async () => {
      const notData = new URL("../../../src/random.ts", import.meta.url);
      const source = stream({}, { module: notData, workers });
      await expect(source.next()).rejects.toThrow(
        /random\.ts: expected it to export the function createSource/,
      );
    });
  }

  test("a worker that dies fails the step instead of hanging", async () => {
    const source = stream({ fault: "exit", at: 1 }, { ahead: 0 });
    await source.next();
    await expect(source.next()).rejects.toThrow("exit code 7");
  });

  test("close ends busy workers and pending calls", async () => {
    const source = stream({ fault: "hang", at: 0 });
    const waiting = source.next();
    const failed = expect(waiting).rejects.toThrow("closed");
    await source.close();
    await failed;
  });

  test("without workers, close closes the source that it made, if any", async () => {
    const closed = new SharedArrayBuffer(4);
    const [used, unused] = [0, 0].map((workers) => stream({ closed }, { workers }));
    await used!.next();
    for (const source of [used!, unused!]) await source.close();
    expect(Atomics.load(new Int32Array(closed), 0)).toBe(1);
  });

  test("works from the built package, with and without workers", async () => {
    const script = `
      import { SampleStream } from "./dist/training/run/workers.js";
      const seen = [];
      for (const workers of [0, 2]) {
        const module = "test/fixtures/samples/source.mjs";
        const stream = new SampleStream({ module, options: { offset: 100 }, workers, from: 4 });
        seen.push([...(await stream.next()), ...(await stream.next())]);
        await stream.close();
      }
      console.log(JSON.stringify(seen));`;
    const cwd = new URL("../../..", import.meta.url);
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
      cwd,
    });
    expect(JSON.parse(stdout)).toEqual([
      [4, 104, 5, 105],
      [4, 104, 5, 105],
    ]);
  });
});
