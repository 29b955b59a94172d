import { execFile } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { MessageChannel } from "node:worker_threads";
import { expect, test } from "vitest";
import { ThreadPool } from "../../src/runtime/threads.ts";

type Job = { readonly do: "echo" | "slow" | "hang" | "exit" | "throw"; readonly port?: unknown };

/** Threads that echo `greeting` and the job, keep a port open for ever, stop, or throw. */
const module = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort, workerData } from "node:worker_threads";
    parentPort.on("message", (job) => {
      if (job.do === "exit") process.exit(7);
      if (job.do === "throw") throw new Error("broken");
      if (job.do === "slow") setTimeout(() => { job.port.postMessage("done"); parentPort.postMessage({ answer: "late" }); }, 100);
      else if (job.do === "hang") job.port.postMessage("hanging");
      else parentPort.postMessage({ answer: [workerData, job.do] });
    });
  `)}`,
);

const poolOf = (threads: number, patience = 50) =>
  new ThreadPool<Job, unknown>(module, threads, { workerData: "hello", patience });

/** A thread with an endless job, and the event of its end. */
async function hang(pool: ThreadPool<Job, unknown>) {
  const { port1, port2 } = new MessageChannel();
  const answer = pool.run({ do: "hang", port: port2 }, [port2 as unknown as ArrayBuffer]);
  answer.catch(() => {});
  await once(port1, "message");
  return { answer, ended: once(port1, "close") };
}

test("jobs beyond the number of threads wait for their turn", async () => {
  await using pool = poolOf(2);
  const jobs = Array.from({ length: 5 }, () => pool.run({ do: "echo" }));
  expect(await Promise.all(jobs)).toEqual(Array.from({ length: 5 }, () => ["hello", "echo"]));
});

test("a job that cannot be sent fails alone, whether it goes at once or had to wait", async () => {
  await using pool = poolOf(1);
  const unsendable = { do: "echo", port: () => {} } as const;
  await expect(pool.run(unsendable)).rejects.toThrow("could not be cloned");
  const first = pool.run({ do: "echo" });
  const second = pool.run(unsendable);
  const third = pool.run({ do: "echo" });
  expect(await first).toEqual(["hello", "echo"]);
  await expect(second).rejects.toThrow("could not be cloned");
  expect(await third).toEqual(["hello", "echo"]);
});

test("a job that is given up while it waits is never sent", async () => {
  await using pool = poolOf(1);
  const { port1, port2 } = new MessageChannel();
  const slow = pool.run({ do: "slow", port: port2 }, [port2 as unknown as ArrayBuffer]);
  const stopping = new AbortController();
  // If it were sent, the pool's only thread would end with it.
  const waiting = pool.run({ do: "exit" }, [], stopping.signal);
  stopping.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
  await expect(pool.run({ do: "echo" }, [], stopping.signal)).rejects.toThrow("enough");
  expect(await slow).toBe("late");
  expect(await pool.run({ do: "echo" })).toEqual(["hello", "echo"]);
  port1.close();
});

test("closing ends working threads, and waiting callers get an error", async () => {
  const pool = poolOf(1);
  const { answer, ended } = await hang(pool);
  await pool.close();
  await ended;
  const released = { name: "XPromptError", code: "ERR_RELEASED" };
  await expect(answer).rejects.toMatchObject(released);
  await expect(pool.run({ do: "echo" })).rejects.toMatchObject(released);
  await pool.close();
});

test("closing lets a running job end, whose caller has its error at once", async () => {
  const pool = poolOf(1, 20_000);
  const { port1, port2 } = new MessageChannel();
  const done = once(port1, "message");
  let hasEnded = false;
  void done.then(() => {
    hasEnded = true;
  });
  const answer = pool.run({ do: "slow", port: port2 }, [port2 as unknown as ArrayBuffer]);
  const closing = pool.close();
  await expect(answer).rejects.toThrow("closed");
  expect(hasEnded).toBe(false);
  await closing;
  await done;
});

test.each<Job["do"]>(["exit", "throw"])(
  "a thread that fails (%s) fails its own job alone",
  async (failing) => {
    await using pool = poolOf(1);
    const jobs = [failing, "echo", failing, "echo"].map((each) => pool.run({ do: each as Job["do"] }));
    const reason = expect.objectContaining({
      message: failing === "exit" ? "a thread stopped with exit code 7" : "broken",
    });
    expect(await Promise.allSettled(jobs)).toEqual([
      { status: "rejected", reason },
      { status: "fulfilled", value: ["hello", "echo"] },
      { status: "rejected", reason },
      { status: "fulfilled", value: ["hello", "echo"] },
    ]);
    expect(await pool.run({ do: "echo" })).toEqual(["hello", "echo"]);
  },
);

test("closing ends all threads, even after one has failed", async () => {
  const pool = poolOf(2);
  const { answer, ended } = await hang(pool);
  await expect(pool.run({ do: "exit" })).rejects.toThrow("exit code 7");
  await pool.close();
  await ended;
  await expect(answer).rejects.toThrow("closed");
});

test("a process does not end while it waits for threads to close, one of which has just answered", async () => {
  const script = `
    import { ThreadPool } from "./dist/runtime/threads.js";
    const module = new URL(process.argv[1]);
    for (let i = 0; i < 60; i++) {
      const pool = new ThreadPool(module, 1);
      await pool.run({ do: "echo" });
      pool.run({ do: "echo" }).catch(() => {});
      for (const end = performance.now() + 3; performance.now() < end; ); // the answer waits in the queue
      await pool.close();
    }
    console.log("at the end");`;
  const cwd = new URL("../..", import.meta.url);
  const args = ["--input-type=module", "-e", script, module.href];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd });
  expect(stdout).toBe("at the end\n");
});
