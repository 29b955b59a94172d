/** @file Jobs without a server: failures are logged, and finished jobs make room. */
import { afterEach, expect, test, vi } from "vitest";
import type { ImagesResponse } from "../../src/server/answers.ts";
import { Jobs } from "../../src/server/jobs.ts";
import { until } from "./kit.ts";

/** The most jobs that are kept. */
const MOST = 1000;

afterEach(() => {
  vi.useRealTimers();
});

function start() {
  const lines: { level: string; message: string; about?: Record<string, unknown> }[] = [];
  const jobs = new Jobs((level, message, about) => lines.push({ level, message, about }));
  return { jobs, lines };
}
const drawn = async () => ({ data: [] }) as unknown as ImagesResponse;
const finishedJob = async (jobs: Jobs, work = drawn) => {
  const { id } = jobs.submit("someone", 1, work);
  await until(() => jobs.get("someone", id).finished_at !== null);
  return id;
};
const never = () => new Promise<ImagesResponse>(() => {});

test("a defect is logged with its stack, and its client gets no details", async () => {
  const { jobs, lines } = start();
  const { id } = jobs.submit("someone", 1, () => Promise.reject(new TypeError("secret")));
  await until(() => jobs.get("someone", id).finished_at !== null);
  const { status, error } = jobs.get("someone", id);
  expect(status).toBe("failed");
  expect(error).toMatchObject({ type: "server_error", message: expect.not.stringContaining("secret") });
  expect(lines).toEqual([
    { level: "error", message: "a job failed", about: { id, trace: expect.stringContaining("secret") } },
  ]);
});

test("a cancelled job is not logged", async () => {
  const { jobs, lines } = start();
  const { id } = jobs.submit(
    "someone",
    1,
    ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  );
  jobs.cancel("someone", id);
  await new Promise((resolve) => setImmediate(resolve));
  expect(lines).toEqual([]);
});

test("the job that finished first makes room for a new one; unfinished jobs stay", async () => {
  const { jobs } = start();
  const running = jobs.submit("someone", 1, never);
  const finished = Array.from({ length: MOST - 1 }, () => jobs.submit("someone", 1, drawn));
  await until(() => jobs.get("someone", finished.at(-1)!.id).finished_at !== null);
  const { id } = jobs.submit("another", 1, never);
  expect(jobs.size).toBe(MOST);
  expect(jobs.get("another", id).status).toBe("queued");
  expect(jobs.get("someone", running.id).status).toBe("queued");
  expect(() => jobs.get("someone", finished[0]!.id)).toThrow(/looking up a job/);
  expect(jobs.get("someone", finished[1]!.id).status).toBe("completed");
});

test("more unfinished jobs are refused", () => {
  const { jobs } = start();
  for (let i = 0; i < MOST; i++) jobs.submit("someone", 1, never);
  expect(() => jobs.submit("another", 1, never)).toThrow(/at most 1000 unfinished jobs/);
});

test("the result of a job is kept for ten minutes", async () => {
  vi.useFakeTimers({ now: 0, toFake: ["Date"] });
  const { jobs } = start();
  const running = jobs.submit("someone", 1, never);
  const id = await finishedJob(jobs);
  vi.setSystemTime(600_999);
  expect(jobs.get("someone", id).status).toBe("completed");
  vi.setSystemTime(601_000);
  expect(() => jobs.get("someone", id)).toThrow(/looking up a job/);
  expect(jobs.list("someone").map((job) => job.id)).toEqual([running.id]);
});

test("results of more than 512 MiB together: the oldest is dropped", async () => {
  const { jobs } = start();
  const half = "x".repeat(2 ** 28);
  const large = async () => ({ data: [{ b64_json: half }] }) as unknown as ImagesResponse;
  const [first, second] = [await finishedJob(jobs, large), await finishedJob(jobs, large)];
  expect(jobs.get("someone", first).status).toBe("completed");
  const third = await finishedJob(jobs, large);
  expect(jobs.list("someone").map(({ id }) => id)).toEqual([second, third]);
});

test("the newest result is kept, however large, and whenever its job was submitted", async () => {
  const { jobs } = start();
  let finish = (_result: ImagesResponse): void => {};
  const { id: slow } = jobs.submit("someone", 1, () => new Promise((resolve) => (finish = resolve)));
  const large = { data: [{ b64_json: "x".repeat(2 ** 28) }] } as unknown as ImagesResponse;
  const quick = await finishedJob(jobs, async () => large);
  const data = [...large.data, ...large.data, ...large.data];
  finish({ ...large, data });
  await until(() => jobs.get("someone", slow).finished_at !== null);
  expect(jobs.list("someone").map(({ id }) => id)).toEqual([slow]);
  expect(jobs.get("someone", slow).result!.data).toHaveLength(3);
  expect(() => jobs.get("someone", quick)).toThrow(/looking up a job/);
});
