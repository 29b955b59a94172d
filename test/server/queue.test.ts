/** @file The queue: bounded and shared places, freed when a client disconnects or the server shuts down. */
import { request } from "node:http";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Queue } from "../../src/server/queue.ts";
import { longestSilence } from "../../src/server/serve.ts";
import { dataUrl, slowEngine, startServer, tinyEngine, until } from "./kit.ts";

const { engine } = await tinyEngine();
const body = { prompt: "make it rain", seed: 1 };
const images = [{ image_url: await dataUrl("query") }];

async function slowServer(limits: object) {
  const slow = slowEngine(engine);
  return { ...slow, ...(await startServer(slow.engine, { limits })) };
}

afterEach(() => {
  vi.restoreAllMocks();
});

test("requests beyond the queue's length are refused, with a time to retry", async () => {
  const { post, begun, release, services } = await slowServer({ width: 1, depth: 1 });
  const first = post("/v1/images/generations", body);
  await begun(1);
  const second = post("/v1/images/generations", body);
  await until(() => services.queue.sizes.waiting === 1);
  const third = await post("/v1/images/generations", body);
  expect(third.status).toBe(429);
  expect(Number(third.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  expect(await third.json()).toMatchObject({ error: { type: "rate_limit_error", code: "queue_full" } });
  const streamed = await post("/v1/images/generations", { ...body, stream: true });
  expect(streamed.status).toBe(429);
  release();
  expect((await first).status).toBe(200);
  await begun(2);
  release();
  expect((await second).status).toBe(200);
});

test("one client cannot take all places", async () => {
  const { post, begun, release } = await slowServer({ perClient: 1 });
  const first = post("/v1/images/generations", body);
  await begun(1);
  const second = await post("/v1/images/generations", body);
  expect(second.status).toBe(429);
  expect(await second.json()).toMatchObject({ error: { message: expect.stringMatching(/one client/) } });
  release();
  expect((await first).status).toBe(200);
});

/** Posts on a separate connection, which `leave` closes. */
function postAndLeave(url: string, more: object = {}) {
  const asked = request(`${url}/v1/images/generations`, {
    method: "POST",
    headers: { "content-type": "application/json" },
  });
  asked.on("error", () => {});
  asked.end(JSON.stringify({ ...body, ...more }));
  return { leave: () => asked.destroy(), asked };
}

describe("a client that disconnects", () => {
  test("while running frees its place at once", async () => {
    const { url, post, begun, release, services, lines } = await slowServer({ width: 1 });
    const { leave } = postAndLeave(url);
    await begun(1);
    leave();
    await until(() => services.queue.sizes.running === 0);
    const next = post("/v1/images/generations", body);
    await begun(2);
    release(); // the request of the disconnected client
    release();
    expect((await next).status).toBe(200);
    expect(lines.filter(({ level }) => level === "error")).toEqual([]);
    expect(lines).toContainEqual(expect.objectContaining({ message: "request", status: 499 }));
    expect(services.metrics.text()).toMatch(/xprompt_requests_total\{.*status="499"\} 1/);
  });

  test("while waiting, or in a stream", async () => {
    const { url, begun, services } = await slowServer({ width: 1 });
    const first = postAndLeave(url, { stream: true });
    await begun(1);
    const second = postAndLeave(url);
    const third = postAndLeave(url, { stream: true, every_row: true });
    await until(() => services.queue.sizes.waiting === 2);
    second.leave();
    third.leave();
    await until(() => services.queue.sizes.waiting === 0);
    first.leave();
    await until(() => services.queue.sizes.running === 0);
    expect(services.bodies.bytes).toBe(0);
  });
});

test("work over the time limit ends with 504", async () => {
  const { post } = await slowServer({ timeLimit: 0.01 });
  const response = await post("/v1/images/generations", body);
  expect(response.status).toBe(504);
  expect(await response.json()).toMatchObject({ error: { code: "timeout" } });
});

test("a connection may be silent for as long as the last of a full queue waits and runs", () => {
  const limits = { width: 4, depth: 32, perClient: 16, timeLimit: 300 };
  expect(longestSilence(limits)).toBeGreaterThan(9 * 300 * 1000);
  expect(longestSilence({ ...limits, depth: 33 })).toBeGreaterThan(10 * 300 * 1000);
  expect(longestSilence({ ...limits, depth: 0 })).toBeGreaterThan(300 * 1000);
  // Node's timers end at once when they are longer.
  expect(longestSilence({ ...limits, depth: 10_000, width: 1, timeLimit: 86_400 })).toBe(2 ** 31 - 1);
});

test("a server that shuts down lets requests end, and accepts no more", async () => {
  const { post, begun, release, close, services, ask } = await slowServer({ width: 1 });
  const first = post("/v1/images/generations", body);
  await begun(1);
  const closed = close();
  await until(() => services.queue.isClosed);
  release();
  expect((await first).status).toBe(200);
  await closed;
  await expect(ask("/healthz")).rejects.toThrow();
});

test("after the grace, requests are ended", async () => {
  const { post, begun, close } = await slowServer({ grace: 0.01 });
  const outcome = post("/v1/images/generations", body).then(
    ({ status }) => status,
    () => "cut",
  );
  await begun(1);
  await close();
  expect([503, "cut"]).toContain(await outcome);
});

test("bodies over the limit are refused before they are read, and all together are bounded", async () => {
  const { post } = await startServer(engine, { limits: { body: 20_000, bodies: 10_000 } });
  const large = await post("/v1/images/edits", { images, prompt: "x".repeat(30_000) });
  expect(large.status).toBe(413);
  const together = await post("/v1/images/edits", { images, prompt: "x".repeat(15_000) });
  expect(together.status).toBe(429);
  const pixels = await startServer(engine, { limits: { pixels: 1000 } });
  const refused = await pixels.post("/v1/images/edits", { images, prompt: "x" });
  expect(refused.status).toBe(413);
  expect(await refused.json()).toMatchObject({ error: { param: "image", code: "image_too_large" } });
});

test("a waiting request hears its position whenever it has changed", async () => {
  const queue = new Queue({ width: 1, depth: 9, perClient: 9, timeLimit: 60 });
  const ends: (() => void)[] = [];
  const positions: number[] = [];
  const work = () => new Promise<void>((resolve) => ends.push(resolve));
  const client = "someone";
  const runs = [1, 2].map(() => queue.run(work, { client }));
  runs.push(queue.run(work, { client, onPosition: (position) => positions.push(position) }));
  runs.push(queue.run(work, { client }));
  for (let i = 0; i < 4; i++) {
    await until(() => ends.length > i);
    ends[i]!();
  }
  await Promise.all(runs);
  expect(positions).toEqual([2, 1, 0]);
});

test("the expected wait follows from the last twenty durations and the requests ahead", async () => {
  const queue = new Queue({ width: 2, depth: 9, perClient: 9, timeLimit: 60 });
  let time = 0;
  vi.spyOn(performance, "now").mockImplementation(() => time);
  /** Runs a request of this duration. Resolves to the expected wait at its start. */
  const lasting = async (seconds: number) => {
    let wait: number | undefined;
    const work = async () => {
      wait = queue.expectedWait;
      time += 1000 * seconds;
    };
    await queue.run(work, { client: "someone" });
    return wait;
  };
  expect(await lasting(10)).toBe(1);
  expect(await lasting(20)).toBe(5);
  expect(await lasting(4)).toBe(8);
  for (let i = 0; i < 19; i++) await lasting(4);
  expect(await lasting(4)).toBe(2);
  const [wait] = await Promise.all([4, 4, 40_000].map(lasting));
  expect(wait).toBe(6);
  expect(await lasting(4)).toBe(600);
});

test("closing waits for running requests, also the second time", async () => {
  const queue = new Queue({ width: 1, depth: 1, perClient: 1, timeLimit: 60 });
  let end: (() => void) | undefined;
  const work = () => new Promise<void>((resolve) => (end = resolve));
  const run = queue.run(work, { client: "someone" });
  await until(() => end !== undefined);
  const closed = [queue.close(), queue.close()];
  end!();
  await run;
  await Promise.all(closed);
  await queue.close();
  expect(queue.sizes).toEqual({ waiting: 0, running: 0 });
});
