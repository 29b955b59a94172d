/** @file Operating the server: keys, origins, health, metrics, the gallery, training runs, the OpenAPI document. */
import { appendFile, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { addKey, Keys } from "../../src/server/keys.ts";
import { operations } from "../../src/server/operations.ts";
import { png, startServer, tinyEngine } from "./kit.ts";

const { engine, folder } = await tinyEngine();
const server = await startServer(engine);
const { ask, url } = server;

describe("keys", () => {
  test("are required if there are any, and are not stored in clear text", async () => {
    const path = join(folder, "keys.txt");
    const key = await addKey(path, "alice");
    await addKey(path, "bob");
    expect(await readFile(path, "utf8")).not.toContain(key);
    const locked = await startServer(engine, { keys: await Keys.load(path) });
    const status = async (authorization?: string, path = "/v1/models") =>
      (await locked.ask(path, { headers: authorization === undefined ? {} : { authorization } })).status;
    expect(await status()).toBe(401);
    expect(await status("Bearer wrong")).toBe(401);
    expect(await status(`Basic ${key}`)).toBe(401);
    expect(await status(`Bearer ${key}`)).toBe(200);
    expect(await status(undefined, "/metrics")).toBe(401);
    expect((await locked.post("/mcp", {})).status).toBe(401);
    const isPublic = operations.filter((operation) => operation.isPublic).map(({ path }) => path);
    expect(isPublic.sort()).toEqual(["/healthz", "/readyz", "/v1/gallery", "/v1/gallery/{id}/{picture}"]);
    for (const open of ["/healthz", "/readyz", "/openapi.json", "/v1/gallery"])
      expect(await status(undefined, open)).toBe(200);
  });

  test("a single key lets its holder in, and nobody without one", () => {
    expect(() => Keys.of("")).toThrow("expected a key, got an empty text");
    const keys = Keys.of("secret");
    expect(keys.nameOf("Bearer secret")).toBe("default");
    for (const wrong of [null, "", "Bearer ", "Bearer other", "secret"])
      expect(keys.nameOf(wrong), `${wrong}`).toBeUndefined();
  });

  test("jobs belong to their key", async () => {
    const path = join(folder, "two.txt");
    const [alice, bob] = [await addKey(path, "alice"), await addKey(path, "bob")];
    const locked = await startServer(engine, { keys: await Keys.load(path) });
    const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
    const job = await locked.post("/v1/jobs", { prompt: "x" }, as(alice));
    const { id } = (await job.json()) as { id: string };
    expect((await locked.ask(`/v1/jobs/${id}`, as(bob))).status).toBe(404);
    expect((await locked.ask(`/v1/jobs/${id}`, as(alice))).status).toBe(200);
    const listed = async (key: string) => {
      const { data } = (await (await locked.ask("/v1/jobs", as(key))).json()) as { data: { id: string }[] };
      return data.map((each) => each.id);
    };
    expect(await listed(bob)).toEqual([]);
    const ofBob = (path: string, method: string) => locked.ask(path, { method, ...as(bob) });
    expect((await ofBob(`/v1/jobs/${id}/cancel`, "POST")).status).toBe(404);
    expect((await ofBob(`/v1/jobs/${id}`, "DELETE")).status).toBe(404);
    expect(await listed(alice)).toEqual([id]);
  });

  test("another kind of file is refused by name", async () => {
    const path = join(folder, "broken.txt");
    await writeFile(path, "# keys\nalice secret\n");
    await expect(Keys.load(path)).rejects.toThrow(/line 2: expected a name and a SHA-256/);
    const picture = join(folder, "picture.png");
    await writeFile(picture, await png("picture"));
    for (const wrong of [path, picture]) {
      const before = await readFile(wrong);
      await expect(addKey(wrong, "bob")).rejects.toThrow(/expected a name and a SHA-256/);
      expect(await readFile(wrong)).toEqual(before);
    }
  });

  test("a name has one key", async () => {
    const path = join(folder, "names.txt");
    await addKey(path, "alice");
    await expect(addKey(path, "alice")).rejects.toThrow("expected a new name, got alice, which has a key");
  });
});

/** Sends headers that `fetch` does not allow. */
const answerTo = (at: string, method: string, headers: Record<string, string>) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    request(at, { method, headers }, (response) => {
      response.resume();
      resolve(response);
    })
      .on("error", reject)
      .end();
  });
const statusWith = async (headers: Record<string, string>) =>
  (await answerTo(`${url}/v1/models`, "GET", headers)).statusCode;

test("web pages of other origins and other host names are refused", async () => {
  expect(await statusWith({ origin: "https://example.org" })).toBe(403);
  expect(await statusWith({ origin: "null" })).toBe(403);
  expect(await statusWith({ origin: url })).toBe(200);
  expect(await statusWith({ host: "example.org" })).toBe(403);
  expect(await statusWith({ host: "localhost:1234" })).toBe(200);
  const open = await startServer(engine, { origins: ["https://example.org"] });
  const allowed = await open.ask("/v1/models", { headers: { origin: "https://example.org" } });
  expect(allowed.headers.get("access-control-allow-origin")).toBe("https://example.org");
  const preflight = await answerTo(`${open.url}/v1/images/edits`, "OPTIONS", {
    origin: "https://example.org",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
  });
  expect(preflight.statusCode).toBe(204);
  expect(preflight.headers["access-control-allow-headers"]).toMatch(/authorization.*content-type/i);
});

test("health, metrics and the log report what happens", async () => {
  expect(await (await ask("/healthz")).json()).toEqual({ status: "ok" });
  expect((await ask("/readyz")).status).toBe(200);
  await ask("/v1/models", { headers: { "x-request-id": "my-id" } });
  const text = await (await ask("/metrics")).text();
  expect(text).toMatch(/^xprompt_requests_total\{route="\/v1\/models",method="GET",status="200"\} \d+$/m);
  expect(text).toMatch(/^xprompt_request_seconds_bucket\{route="\/healthz",le="\+Inf"\} 1$/m);
  expect(text).toMatch(/^xprompt_queue_waiting 0$/m);
  expect(text).toMatch(/^# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total [1-9]?[\d.]+$/m);
  expect(server.lines).toContainEqual(
    expect.objectContaining({ message: "request", id: "my-id", status: 200 }),
  );
});

test("a server that is shutting down is alive, but not ready", async () => {
  const ending = await startServer(engine);
  await ending.services.queue.close();
  const ready = await ending.ask("/readyz");
  expect([ready.status, await ready.json()]).toEqual([503, { status: "draining" }]);
  expect((await ending.ask("/healthz")).status).toBe(200);
});

test("the gallery lists pairs, and serves their pictures and nothing else", async () => {
  const { data } = (await (await ask("/v1/gallery")).json()) as {
    data: { id: string; group: string; before: string; queries: object[] }[];
  };
  const depth = data.find(({ id }) => id === "depth")!;
  expect(depth).toMatchObject({ group: "seen", before: "/v1/gallery/depth/before.png" });
  expect(depth.queries[0]).toEqual({
    input: "/v1/gallery/depth/query-1.png",
    truth: "/v1/gallery/depth/truth-1.png",
  });
  const picture = await ask(depth.before);
  expect(picture.headers.get("content-type")).toBe("image/png");
  const bytes = Buffer.from(await picture.arrayBuffer());
  expect(bytes).toEqual(await readFile("examples/seen/depth/before.png"));
  for (const path of ["depth/..%2F..%2Fdemo.ts", "..%2F..%2Fpackage.json/x", "depth/none.png"])
    expect((await ask(`/v1/gallery/${path}`)).status).toBe(404);
});

test("training runs: descriptions, metrics and sheets", async () => {
  const runs = join(folder, "runs");
  const run = join(runs, "nano", "tokenizer");
  await mkdir(join(run, "sheets"), { recursive: true });
  await writeFile(join(run, "recipe.json"), JSON.stringify({ kind: "tokenizer", steps: 100, seed: 1 }));
  const lines = [
    { step: 10, time: 1, loss: 3 },
    { step: 20, time: 2, loss: null, psnr: 30 },
  ];
  await writeFile(
    join(run, "metrics.jsonl"),
    `${lines.map((line) => JSON.stringify(line)).join("\n")}\n{"step":30`,
  );
  await writeFile(join(run, "sheets", "step-000020.png"), await png("sheet"));
  await writeFile(join(run, "sheets", "secret.txt"), "secret");
  const watching = await startServer(engine, { runs });
  const get = async (path: string) => (await watching.ask(path)).json();
  expect(await get("/v1/runs")).toEqual({
    object: "list",
    data: [{ id: "nano.tokenizer", kind: "tokenizer", steps: 100, step: 20, updated_at: expect.any(Number) }],
  });
  expect(await get("/v1/runs/nano.tokenizer")).toMatchObject({
    ...{ recipe: { seed: 1 }, latest: lines[1], names: ["loss", "psnr"] },
    sheets: [{ step: 20, url: "/v1/runs/nano.tokenizer/sheets/step-000020.png" }],
  });
  expect(await get("/v1/runs/nano.tokenizer/metrics")).toEqual({ object: "list", data: lines });
  expect(await get("/v1/runs/nano.tokenizer/metrics?since=10")).toEqual({ object: "list", data: [lines[1]] });
  expect((await watching.ask("/v1/runs/nano.tokenizer/sheets/step-000020.png")).status).toBe(200);
  for (const path of [
    "nano.tokenizer/sheets/secret.txt",
    "nano.tokenizer/sheets/..%2Frecipe.json",
    "..",
    "nano",
  ])
    expect((await watching.ask(`/v1/runs/${path}`)).status).toBe(404);
  expect(await get("/v1/runs/nano.tokenizer/metrics?limit=1")).toEqual({ object: "list", data: [lines[0]] });
  const wrong = await watching.ask("/v1/runs/nano.tokenizer/metrics?limit=x");
  expect(wrong.status).toBe(400);
  expect(await wrong.json()).toMatchObject({ error: { param: "limit" } });
  expect(await (await ask("/v1/runs")).json()).toEqual({ object: "list", data: [] });
  await writeFile(join(run, "metrics.jsonl"), '{"step":10,"time":1}\nbroken\n{"step":20,"time":2}\n');
  for (const path of ["nano.tokenizer", "nano.tokenizer/metrics"]) {
    const broken = await watching.ask(`/v1/runs/${path}`);
    expect(broken.status).toBe(500);
    expect(await broken.text()).not.toContain(runs);
  }
  expect(watching.lines).toContainEqual(
    expect.objectContaining({ level: "error", trace: expect.stringContaining("metrics.jsonl: line 2") }),
  );
});

test("a run that cannot be read does not hide the others, and metrics that grow are read again", async () => {
  const runs = join(folder, "some broken");
  for (const name of ["good", "bad"]) {
    await mkdir(join(runs, name), { recursive: true });
    await writeFile(join(runs, name, "recipe.json"), "{}");
  }
  await mkdir(join(runs, "bad", "metrics.jsonl"));
  const metrics = join(runs, "good", "metrics.jsonl");
  await writeFile(metrics, '{"step":1,"time":1}\n');
  const watching = await startServer(engine, { runs });
  const get = async (path: string) => (await watching.ask(path)).json();
  const { data } = (await get("/v1/runs")) as { data: object[] };
  expect(data).toHaveLength(2);
  expect(data).toContainEqual(expect.objectContaining({ id: "good", step: 1 }));
  expect(data).toContainEqual(expect.objectContaining({ id: "bad", step: null }));
  expect(await get("/v1/runs/good/metrics")).toMatchObject({ data: [{ step: 1 }] });
  await appendFile(metrics, '{"step":2,"time":2}\n');
  expect(await get("/v1/runs/good/metrics")).toMatchObject({ data: [{ step: 1 }, { step: 2 }] });
});

test("runs are found through links, and no two have the same id", async () => {
  const runs = join(folder, "linked");
  const elsewhere = join(folder, "elsewhere");
  for (const [i, run] of [join(runs, "a", "b"), join(runs, "a.b"), elsewhere].entries()) {
    await mkdir(run, { recursive: true });
    await writeFile(join(run, "recipe.json"), JSON.stringify({ steps: i }));
  }
  await symlink(elsewhere, join(runs, "link"));
  await symlink(join(folder, "nowhere"), join(runs, "broken"));
  const linked = await startServer(engine, { runs });
  const { data } = (await (await linked.ask("/v1/runs")).json()) as { data: { id: string; steps: number }[] };
  expect(data.map(({ id, steps }) => [id, steps]).sort()).toEqual([
    ["a..b", 1],
    ["a.b", 0],
    ["link", 2],
  ]);
  for (const { id, steps } of data)
    expect(await (await linked.ask(`/v1/runs/${id}`)).json()).toMatchObject({ id, steps });
});

test("the document describes every operation, with references that lead somewhere", async () => {
  const text = await (await ask("/openapi.json")).text();
  const document = JSON.parse(text) as {
    paths: Record<string, Record<string, object>>;
    components: { schemas: object };
  };
  for (const { path, method } of operations) expect(document.paths[path]).toHaveProperty(method);
  const names = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!);
  expect(new Set(names)).toContain("EditRequest");
  for (const name of names) expect(document.components.schemas).toHaveProperty(name);
  expect(text).not.toContain("#/$defs");
  expect(document.paths["/v1/images/edits"]!.post).toMatchObject({
    requestBody: { content: { "application/json": {}, "multipart/form-data": {} } },
  });
});

test("a defect is 500 without its message, which is in the log only", async () => {
  const broken = await startServer({
    ...engine,
    generate: () => Promise.reject(new TypeError("secret")),
  } as never);
  const response = await broken.post("/v1/images/generations", { prompt: "x" });
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain("secret");
  expect(broken.lines).toContainEqual(expect.objectContaining({ trace: expect.stringContaining("secret") }));
});
