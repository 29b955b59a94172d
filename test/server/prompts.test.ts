/** @file Visual prompts and jobs over HTTP. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { loadImage, readPngText } from "../../src/image/index.ts";
import type { ImagesResponse, JobInfo, PromptInfo } from "../../src/server/answers.ts";
import { describe } from "../../src/server/routes/prompts.ts";
import type { Engine } from "../../src/server/services.ts";
import type { GenerateOptions } from "../../src/xprompt/model.ts";
import { VisualPrompt } from "../../src/xprompt/prompt.ts";
import { dataUrl, file, png, slowEngine, startServer, tinyEngine, until } from "./kit.ts";

const { engine, folder } = await tinyEngine();
const { ask, post } = await startServer(engine);
const examples = [{ input: await dataUrl("before"), output: await dataUrl("after") }];
const images = [{ image_url: await dataUrl("query") }];
const shown = [{ input: await png("before"), output: await png("after") }];

const json = async <T>(response: Promise<Response>, status = 200): Promise<T> => {
  const answer = await response;
  const body = await answer.json();
  expect(answer.status, JSON.stringify(body)).toBe(status);
  return body as T;
};

afterEach(() => {
  vi.restoreAllMocks();
});

test("a prompt is compiled, listed, downloaded, used, deleted and uploaded", async () => {
  const made = await json<PromptInfo>(post("/v1/xprompts", { examples, name: "rain" }));
  expect(made).toMatchObject({ object: "xprompt", name: "rain", examples: 1, model: engine.fingerprint });
  expect(await json(ask("/v1/xprompts"))).toEqual({ object: "list", data: [made] });
  expect(await json(ask(`/v1/xprompts/${made.id}`))).toEqual(made);

  const content = await ask(`/v1/xprompts/${made.id}/content`);
  const bytes = new Uint8Array(await content.arrayBuffer());
  const prompt = await VisualPrompt.fromBytes(bytes);
  expect(prompt.blocks).toEqual((await engine.compress(shown)).blocks);

  const [used, direct] = await Promise.all(
    [{ xprompt: made.id }, { examples }].map((more) =>
      json<ImagesResponse>(post("/v1/images/edits", { images, seed: 2, ...more })),
    ),
  );
  const png = ({ data: [first] }: ImagesResponse) => Buffer.from(first!.b64_json!, "base64");
  expect(await loadImage(png(used!))).toEqual(await loadImage(png(direct!)));
  // Each picture says what it was made with.
  const stored = JSON.parse((await readPngText(png(used!))).xprompt!);
  expect(stored).toMatchObject({ xprompt: [made.id], examples: 0, seed: 2, fullSize: true });
  expect(JSON.parse((await readPngText(png(direct!))).xprompt!)).toMatchObject({ xprompt: [], examples: 1 });

  const gone = await json(ask(`/v1/xprompts/${made.id}`, { method: "DELETE" }));
  expect(gone).toEqual({ id: made.id, object: "xprompt", deleted: true });
  await json(ask(`/v1/xprompts/${made.id}`), 404);
  const upload = { method: "POST", body: bytes, headers: { "content-type": "application/octet-stream" } };
  const again = await json<PromptInfo>(ask("/v1/xprompts/upload?name=back", upload));
  expect(again).toMatchObject({ id: made.id, name: "back" });
});

test("a prompt can be used without being stored", async () => {
  const before = await json(ask("/v1/xprompts"));
  const answer = await post("/v1/xprompts", { examples, store: false, name: "rain – snow" });
  expect(answer.headers.get("content-type")).toBe("application/octet-stream");
  const saved = "attachment; filename*=UTF-8''rain%20%E2%80%93%20snow.xprompt";
  expect(answer.headers.get("content-disposition")).toBe(saved);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  expect((await VisualPrompt.fromBytes(bytes)).blocks).toEqual((await engine.compress(shown)).blocks);

  const upload = { method: "POST", body: bytes, headers: { "content-type": "application/octet-stream" } };
  const told = await json<PromptInfo>(ask("/v1/xprompts/upload?store=false", upload));
  expect(told).toMatchObject({ object: "xprompt", examples: 1, bytes: bytes.length });

  const xprompt = `data:application/octet-stream;base64,${Buffer.from(bytes).toString("base64")}`;
  const [used, direct] = await Promise.all(
    [{ xprompt }, { examples }].map((more) =>
      json<ImagesResponse>(post("/v1/images/edits", { images, seed: 2, ...more })),
    ),
  );
  const pixelsOf = ({ data: [first] }: ImagesResponse) => loadImage(Buffer.from(first!.b64_json!, "base64"));
  expect(await pixelsOf(used!)).toEqual(await pixelsOf(direct!));
  expect(await json(ask("/v1/xprompts"))).toEqual(before);
  const refused = await json(post("/v1/images/edits", { images, xprompt: "data:;base64,AAAA" }), 400);
  expect(refused).toMatchObject({ error: { code: "invalid_xprompt", param: "xprompt" } });
  await json(post("/v1/xprompts", { examples, store: false, name: "\ud800" }), 400);
});

test("a form compiles the same as JSON", async () => {
  const form = new FormData();
  form.append("example_input[]", await file("before"));
  form.append("example_output[]", await file("after"));
  const [a, b] = await Promise.all([
    json<PromptInfo>(ask("/v1/xprompts", { method: "POST", body: form })),
    json<PromptInfo>(post("/v1/xprompts", { examples })),
  ]);
  expect(a.id).toBe(b.id);
});

test("a prompt of another model is refused", async () => {
  const upload = (body: RequestInit["body"]) =>
    json<object>(
      ask("/v1/xprompts/upload", {
        method: "POST",
        body,
        headers: { "content-type": "application/octet-stream" },
      }),
      400,
    );
  expect(await upload("nothing")).toMatchObject({ error: { code: "invalid_xprompt" } });
  const { blocks } = await engine.compress(shown);
  const other = VisualPrompt.of("another model", blocks);
  expect(await upload(await other.toBytes())).toMatchObject({
    error: { message: expect.stringMatching(/got a prompt of another model/) },
  });
});

test("prompts in a folder survive a restart, and ids never become paths", async () => {
  const prompts = join(folder, "prompts");
  const first = await startServer(engine, { prompts });
  const made = await json<PromptInfo>(first.post("/v1/xprompts", { examples, name: "rain" }));
  await first.close();
  expect((await readdir(prompts)).sort()).toEqual([`${made.id}.json`, `${made.id}.xprompt`]);
  const second = await startServer(engine, { prompts });
  expect(await json(second.ask(`/v1/xprompts/${made.id}`))).toEqual(made);
  for (const id of ["..%2Ftiny", "%2e%2e", encodeURIComponent("../prompts/x"), "%00"])
    await json(second.ask(`/v1/xprompts/${id}`, { method: "DELETE" }), 404);
  await json(second.ask(`/v1/xprompts/${made.id}`, { method: "DELETE" }));
  expect(await readdir(prompts)).toEqual([]);
});

test("describe returns the model's description", async () => {
  const text = await engine.describe({ prompt: await engine.compress(shown) });
  expect(await json(post("/v1/describe", { examples }))).toMatchObject({ text, model: "tiny" });
  const { id } = await json<PromptInfo>(post("/v1/xprompts", { examples }));
  expect(await json(post("/v1/describe", { xprompt: id }))).toMatchObject({ text });
  await json(post("/v1/describe", {}), 400);
});

test("the time of a description is without the time in the queue", async () => {
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
  const after = async <T>(passed: number, value: T) => {
    now += passed;
    return value;
  };
  const services = {
    model: "tiny",
    queue: {
      run: async (work: (signal: AbortSignal) => Promise<unknown>) => {
        const queued = await after(1000, 1000);
        return { value: await work(new AbortController().signal), queued };
      },
    },
    prompts: { find: async () => ({}) },
    engine: { describe: () => after(5, "words") },
  };
  const asked = { body: { type: "json", fields: { xprompt: "xp" } } };
  const response = await describe.handle(asked as never, services as never);
  clock.mockRestore();
  expect(await response.json()).toEqual({
    text: "words",
    model: "tiny",
    timings: { queued: 1000, total: 5 },
  });
});

test("a job gives the picture of its request, and can be deleted", async () => {
  const request = { images, examples, seed: 2 };
  const job = await json<JobInfo>(post("/v1/jobs", request), 202);
  expect(job).toMatchObject({ object: "job", result: null, error: null });
  const look = () => json<JobInfo>(ask(`/v1/jobs/${job.id}`));
  let found = await look();
  while (found.finished_at === null) found = await look();
  expect(found).toMatchObject({ status: "completed", progress: { image: 0, images: 1, row: 4, rows: 4 } });
  const direct = await json<ImagesResponse>(post("/v1/images/edits", request));
  expect(found.result!.data).toEqual(direct.data);
  const { data } = await json<{ data: JobInfo[] }>(ask("/v1/jobs"));
  expect(data.find(({ id }) => id === job.id)).toMatchObject({ status: "completed", result: null });
  await json(ask(`/v1/jobs/${job.id}`, { method: "DELETE" }));
  await json(ask(`/v1/jobs/${job.id}`), 404);
});

test("the progress of a job goes up, though its pictures are drawn together", async () => {
  const seen: number[] = [];
  const watched: Engine = {
    ...engine,
    generate: ((options: GenerateOptions) =>
      engine.generate({
        ...options,
        async onProgress(progress) {
          await options.onProgress?.(progress);
          const [job] = server.services.jobs.list("127.0.0.1");
          const { image, row, rows } = job!.progress;
          seen.push(image * rows + row);
        },
      })) as Engine["generate"],
  };
  const server = await startServer(watched);
  await json(server.post("/v1/jobs", { prompt: "x", n: 2 }), 202);
  await until(() => seen.length === 8);
  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test("jobs wait, are cancelled, and free their places", async () => {
  const slow = slowEngine(engine);
  const server = await startServer(slow.engine, { limits: { width: 1 } });
  const submit = () => json<JobInfo>(server.post("/v1/jobs", { prompt: "x" }), 202);
  const [first, second] = [await submit(), await submit()];
  await slow.begun(1);
  const look = (id: string) => json<JobInfo>(server.ask(`/v1/jobs/${id}`));
  expect(await look(first.id)).toMatchObject({ status: "running", position: null });
  expect(await look(second.id)).toMatchObject({ status: "queued", position: 1 });
  for (const { id } of [first, second])
    expect(await json(server.ask(`/v1/jobs/${id}/cancel`, { method: "POST" }))).toMatchObject({
      status: "cancelled",
    });
  await until(() => server.services.queue.sizes.running + server.services.queue.sizes.waiting === 0);
  expect(server.services.bodies.bytes).toBe(0);
});
