/** @file Jobs over a real Redis: each has one result and none is lost, also when workers or Redis die. */
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { JobQueue, QueueRefusal } from "../../src/queue/index.ts";
import { OpenQueue } from "../../src/queue/open-queue.ts";
import { start } from "../cli/kit.ts";
import { clientsOf, hasRedis, heldKind, needed, redisServer } from "./kit.ts";

const redis = await redisServer();
const { queue, worker, rawQueue } = clientsOf(redis.url);
const script = fileURLToPath(new URL("../fixtures/queue/worker.mjs", import.meta.url));

test.each([
  ["http://someone:hidden@127.0.0.1", /expected redis:\/\/HOST:PORT.*, got http:…/],
  ["hidden", /expected redis:\/\/HOST:PORT.*, got something else/],
  ["unix://", /expected redis:\/\/HOST:PORT/],
  ["redis://:hidden@127.0.0.1/x", /expected a database number after the address, got x/],
  ["redis://:hidden%@127.0.0.1", /expected %25 for a percent sign/],
  ["redis://hidden%zz@127.0.0.1", /expected %25 for a percent sign/],
  ["unix:///tmp/%zz", /expected %25 for a percent sign/],
  ["redis://someone:hidden@127.0.0.1:1/3", /Redis at redis:\/\/127\.0\.0\.1:1\/3: .* got: .*ECONNREFUSED/],
])("%s is refused, without its password", async (url, says) => {
  const { message } = await JobQueue.open({ url }).then(
    () => new Error("opened"),
    (error: Error) => error,
  );
  expect(message).toMatch(says);
  expect(message).not.toMatch(/someone|hidden/);
});

describe.skipIf(!hasRedis)(`jobs${needed}`, () => {
  test("what is submitted twice runs once, and progress comes through", async () => {
    const { kind, begun, free } = heldKind("twice");
    const [one, other] = [await queue(), await queue()];
    const progress: unknown[] = [];
    const results = [one, other, one].map((jobs) =>
      jobs.run(kind, "test", { number: 3 }, { onProgress: (each) => progress.push(each) }),
    );
    free();
    await worker([kind]);
    expect(await Promise.all(results)).toEqual([{ square: 9 }, { square: 9 }, { square: 9 }]);
    // Later as well: the result is kept.
    expect(await other.run(kind, "test", { number: 3 })).toEqual({ square: 9 });
    expect(begun).toEqual([3]);
    expect(progress).toContainEqual({ number: 3 });
  });

  test("jobs of a lower priority number come first", async () => {
    const { kind, begun, free } = heldKind("priority");
    const [late, early] = [await queue({ priority: 50 }), await queue({ priority: 1 })];
    const raw = rawQueue("priority-test");
    const results = [late.run(kind, "test", { number: 1 }), late.run(kind, "test", { number: 2 })];
    await expect.poll(() => raw.count()).toBe(2);
    results.push(early.run(kind, "test", { number: 3 }));
    await expect.poll(() => raw.count()).toBe(3);
    free();
    await worker([kind], { concurrency: 1 });
    await Promise.all(results);
    expect(begun).toEqual([3, 1, 2]);
  });

  test("a job that has its result holds no pictures any more", async () => {
    const { kind, free } = heldKind("done");
    free();
    await worker([kind]);
    expect(await (await queue()).run(kind, "test", { number: 3 })).toEqual({ square: 9 });
    const [job] = await rawQueue("done-test").getCompleted();
    expect(job!.data).toEqual({});
  });

  test("what Redis refuses is its operator's to mend", async () => {
    const { kind, free } = heldKind("refused");
    free();
    await worker([kind]);
    const jobs = await queue();
    await jobs.run(kind, "test", { number: 1 });
    const client = new Redis({ path: redis.url.slice("unix://".length) });
    onTestFinished(() => client.disconnect());
    await client.config("SET", "maxmemory", "1");
    const refused = await jobs.run(kind, "test", { number: 2 }).catch((error: unknown) => error);
    await client.config("SET", "maxmemory", "0");
    expect(refused).toMatchObject({
      code: "ERR_QUEUE",
      message: expect.stringMatching(/got: OOM .*memory, disk and rights/),
    });
    expect(await jobs.run(kind, "test", { number: 2 })).toEqual({ square: 4 });
  });

  test("a full queue refuses, or lets wait", async () => {
    const { kind, free } = heldKind("full");
    const [refusing, waiting] = [await queue({ limit: 2, waits: false }), await queue({ limit: 2 })];
    const raw = rawQueue("full-test");
    const results = [1, 2].map((number) => refusing.run(kind, "test", { number }));
    await expect.poll(() => raw.count()).toBe(2);
    const refused = await refusing.run(kind, "test", { number: 3 }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(QueueRefusal);
    expect(refused).toMatchObject({ reason: "full", code: "ERR_QUEUE", retryAfter: expect.any(Number) });
    results.push(waiting.run(kind, "test", { number: 4 }));
    const looks = vi.spyOn(OpenQueue.prototype, "waiting");
    await expect.poll(() => looks.mock.calls.length).toBeGreaterThanOrEqual(2);
    expect(await raw.count()).toBe(2);
    free();
    await worker([kind]);
    expect(await Promise.all(results)).toEqual([{ square: 1 }, { square: 4 }, { square: 16 }]);
  });

  test("a job that is cancelled leaves the queue, or ends where it runs", async () => {
    const { kind, begun, aborted, when, free } = heldKind("cancelled");
    const jobs = await queue();
    const raw = rawQueue("cancelled-test");
    const ending = new AbortController();
    const waits = jobs.run(kind, "test", { number: 1 }, { signal: ending.signal });
    await expect.poll(() => raw.count()).toBe(1);
    ending.abort(new Error("not wanted"));
    await expect(waits).rejects.toThrow("not wanted");
    await expect.poll(() => raw.count()).toBe(0);

    const second = new AbortController();
    await worker([kind]);
    const runs = jobs.run(kind, "test", { number: 2 }, { signal: second.signal });
    await when(() => begun.includes(2));
    second.abort(new Error("not wanted either"));
    await expect(runs).rejects.toThrow("not wanted either");
    await when(() => aborted.includes(2));
    expect(begun).toEqual([2]);
    // Submitted again, it runs.
    free();
    expect(await jobs.run(kind, "test", { number: 2 })).toEqual({ square: 4 });
  });

  test("who still wants a job that another submitter cancelled gets its result", async () => {
    const { kind, begun, aborted, when, free } = heldKind("shared");
    const [leaving, staying] = [await queue(), await queue()];
    await worker([kind]);
    const ending = new AbortController();
    const left = leaving.run(kind, "test", { number: 5 }, { signal: ending.signal });
    await when(() => begun.includes(5));
    const stayed = staying.run(kind, "test", { number: 5 });
    ending.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    await when(() => aborted.includes(5));
    free();
    expect(await stayed).toEqual({ square: 25 });
    expect(begun.filter((number) => number === 5)).toHaveLength(2);
  });

  test("jobs that are submitted together do not get the failure of an earlier one", async () => {
    const { kind, free } = heldKind("failing");
    free();
    let failures = 1;
    const failing: typeof kind = {
      ...kind,
      handle(...args) {
        if (failures-- > 0) throw new XPromptError("not this time");
        return kind.handle(...args);
      },
    };
    await worker([failing]);
    const jobs = await queue();
    const run = () => jobs.run(kind, "test", { number: 6 });
    await expect(run()).rejects.toThrow("not this time");
    expect(await Promise.all([run(), run()])).toEqual([{ square: 36 }, { square: 36 }]);
  });

  test("data that is no job fails with a clear message, and the worker goes on", async () => {
    const { kind, free } = heldKind("malformed");
    free();
    const lines: string[] = [];
    await worker([kind], { log: (line) => lines.push(line) });
    const raw = rawQueue("malformed-test");
    for (const wrong of [{ number: "three" }, null, { number: 1, path: "/etc/passwd" }]) {
      const job = await raw.add("malformed", wrong);
      await expect.poll(() => job.getState()).toBe("failed");
      expect((await raw.getJob(job.id!))!.failedReason).toMatch(
        /^ERR_INPUT: reading a job of kind malformed: .*(number|data|path)/,
      );
    }
    expect(lines).toHaveLength(3);
    expect(await (await queue()).run(kind, "test", { number: 7 })).toEqual({ square: 49 });
  });

  test("a worker takes no jobs of another model", async () => {
    const { kind, begun, free } = heldKind("model");
    free();
    const jobs = await queue();
    await worker([kind]);
    const ending = new AbortController();
    const other = jobs.run(kind, "another", { number: 1 }, { signal: ending.signal });
    expect(await jobs.run(kind, "test", { number: 2 })).toEqual({ square: 4 });
    expect(begun).toEqual([2]);
    ending.abort(new Error("no worker"));
    await expect(other).rejects.toThrow("no worker");
  });

  test("jobs of a worker that is killed go to another, with one result each", async () => {
    const { kind } = heldKind("mortal");
    const jobs = await queue();
    const begin = (mortal: "yes" | "no") => start(process.execPath, [script, redis.url, mortal]);
    const said = (child: ReturnType<typeof begin>, lines: number) =>
      new Promise<void>((resolve, reject) => {
        let text = "";
        child.child.stdout!.on("data", (data) => {
          text += data;
          if (text.trim().split("\n").length >= lines) resolve();
        });
        child.ended.then(({ stderr }) => reject(new Error(stderr)), reject);
      });
    const first = begin("yes");
    const results = [1, 2, 3].map((number) => jobs.run(kind, "test", { number }));
    await said(first, 2);
    first.child.kill("SIGKILL");
    expect((await first.ended).signal).toBe("SIGKILL");
    const second = begin("no");
    expect(await Promise.all(results)).toEqual([{ square: 1 }, { square: 4 }, { square: 9 }]);
    second.child.kill("SIGTERM");
    const { stdout } = await second.ended;
    expect(stdout.trim().split("\n").sort()).toEqual(["1", "2", "3"]);
    expect(await rawQueue("mortal-test").getJobCounts("completed", "failed", "waiting", "active")).toEqual({
      ...{ completed: 3, failed: 0, waiting: 0, active: 0 },
    });
  });
});

/** Runs for longer than its lock lasts: the event loop stands still meanwhile. */
test.skipIf(!hasRedis)(`a job that loses its lock is not run for ever${needed}`, async () => {
  const { kind, begun, free } = heldKind("slow");
  free();
  const slow = {
    ...kind,
    async handle(...args: Parameters<typeof kind.handle>) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2500);
      return kind.handle(...args);
    },
  };
  await worker([slow], { concurrency: 1, lockSeconds: 1 });
  expect(await (await queue()).run(kind, "test", { number: 4 })).toEqual({ square: 16 });
  expect(begun.length).toBeLessThanOrEqual(2);
});

describe.skipIf(!hasRedis)(`a Redis that ends${needed}`, () => {
  test("keeps the jobs that it accepted, though their submitter is gone too", async () => {
    const { kind, begun, when, free } = heldKind("kept");
    const jobs = await queue();
    const raw = rawQueue("kept-test");
    const lost = [1, 2, 3].map((number) => jobs.run(kind, "test", { number }));
    for (const each of lost) each.catch(() => {});
    await expect.poll(() => raw.count()).toBe(3);
    await jobs.close();
    await redis.kill();
    await redis.start();
    free();
    await worker([kind]);
    await when(() => begun.length === 3);
    expect(begun.toSorted()).toEqual([1, 2, 3]);
  });

  test("may end while jobs run: workers and submitters connect again", async () => {
    const { kind, begun, when, free } = heldKind("back");
    const lines: string[] = [];
    const jobs = await queue({ log: (line) => lines.push(line) });
    await worker([kind], { concurrency: 2 });
    const results = [1, 2, 3, 4].map((number) => jobs.run(kind, "test", { number }));
    await when(() => begun.length === 2);
    await redis.kill();
    await expect.poll(() => lines.length).toBe(1);
    await redis.start();
    free();
    expect(await Promise.all(results)).toEqual([1, 4, 9, 16].map((square) => ({ square })));
    expect(lines[0]).toMatch(/^Redis at unix:.*redis.sock is away/);
    await expect.poll(() => lines[1]).toMatch(/is back$/);
  });

  test("may forget everything: what is still wanted is submitted again", async () => {
    const { kind, free } = heldKind("forgotten");
    const jobs = await queue();
    const raw = rawQueue("forgotten-test");
    const results = [1, 2].map((number) => jobs.run(kind, "test", { number }));
    await expect.poll(() => raw.count()).toBe(2);
    await redis.kill();
    await redis.wipe();
    await redis.start();
    free();
    await worker([kind]);
    expect(await Promise.all(results)).toEqual([{ square: 1 }, { square: 4 }]);
  });

  test("does not keep those that end waiting", async () => {
    const { kind, begun, when } = heldKind("ending");
    const lines: string[] = [];
    const jobs = await queue({ log: (line) => lines.push(line) });
    const running = await worker([kind], { log: (line) => lines.push(line) });
    const ending = new AbortController();
    const run = jobs.run(kind, "test", { number: 1 }, { signal: ending.signal });
    await when(() => begun.length === 1);
    await redis.kill();
    await expect.poll(() => lines.filter((line) => line.includes("is away")).length).toBe(2);
    ending.abort(new Error("not wanted"));
    await expect(run).rejects.toThrow("not wanted");
    await running.close();
    await jobs.close();
    await redis.start();
  });

  test("is away: who does not wait is refused", async () => {
    const { kind } = heldKind("away");
    const lines: string[] = [];
    const jobs = await queue({ waits: false, log: (line) => lines.push(line) });
    await redis.kill();
    await expect.poll(() => lines.length).toBe(1);
    const refused = await jobs.run(kind, "test", { number: 1 }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ reason: "away", code: "ERR_QUEUE" });
    await redis.start();
    await expect.poll(() => lines.length).toBe(2);
  });
});
