/** @file Server-sent events: OpenAI's documented formats, and rows of the picture during generation. */
import { expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { loadImage } from "../../src/image/index.ts";
import type { Engine } from "../../src/server/services.ts";
import { isWanted } from "../../src/server/stream.ts";
import { dataUrl, png, slowEngine, startServer, tinyEngine, until } from "./kit.ts";

const { engine } = await tinyEngine();
const { post } = await startServer(engine);
const images = [{ image_url: await dataUrl("query", 48) }];

interface Event {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

const eventsIn = (text: string): Event[] =>
  text
    .split("\n\n")
    .filter((block) => block.startsWith("event: "))
    .map((block) => {
      const [, event, data] = /^event: (.*)\ndata: (.*)$/.exec(block)!;
      return { event: event!, data: JSON.parse(data!) };
    });

async function eventsOf(path: string, body: object): Promise<Event[]> {
  const response = await post(path, { stream: true, ...body });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  return eventsIn(await response.text());
}

test("partial pictures come before the complete one, which equals the result without a stream", async () => {
  const body = { images, prompt: "make it rain", seed: 4 };
  const events = await eventsOf("/v1/images/edits", { ...body, partial_images: 2 });
  expect(events.map(({ event }) => event)).toEqual([
    "image_edit.partial_image",
    "image_edit.partial_image",
    "image_edit.completed",
  ]);
  const [first, second, last] = events.map(({ data }) => data);
  expect(first).toMatchObject({
    ...{ type: "image_edit.partial_image", partial_image_index: 0, row: 1, rows: 4, size: "32x32" },
    ...{ output_format: "png", quality: "auto", background: "opaque", created_at: expect.any(Number) },
  });
  expect(second).toMatchObject({ partial_image_index: 1, row: 3 });
  const preview = await loadImage(Buffer.from(first!.b64_json as string, "base64"));
  expect(preview.width).toBe(32);
  expect(last).toMatchObject({ type: "image_edit.completed", seed: 4, size: "48x48", image_index: 0 });
  expect(last!.usage).toMatchObject({ output_tokens: 16 });
  const whole = (await (await post("/v1/images/edits", body)).json()) as { data: { b64_json: string }[] };
  expect(last!.b64_json).toBe(whole.data[0]!.b64_json);
});

test("a generation has events of its own name, and one complete picture for each of n", async () => {
  const events = await eventsOf("/v1/images/generations", {
    prompt: "make it rain",
    n: 2,
    seed: 1,
    every_row: true,
  });
  const partial = "image_generation.partial_image";
  for (const image of [0, 1]) {
    const own = events.filter(({ data }) => data.image_index === image);
    expect(own.map(({ event }) => event)).toEqual([partial, partial, partial, "image_generation.completed"]);
    expect(own.map(({ data }) => data.partial_image_index)).toEqual([0, 1, 2, undefined]);
    expect(own.at(-1)!.data.seed).toBe(1 + image);
  }
  expect(events).toHaveLength(8);
});

test("an answer says how much of a long prompt was left out, and where the change comes from", async () => {
  const prompt = "make it rain ".repeat(30);
  const { tokens } = await engine.generate({
    input: await loadImage(await png("query", 48)),
    instruction: prompt,
  });
  const told = { unread_tokens: tokens.unread, change_from: "drawing" };
  expect(tokens.unread).toBeGreaterThan(20);
  const events = await eventsOf("/v1/images/edits", { images, prompt });
  expect(events.at(-1)!.data).toMatchObject(told);
  const { settings, ...answer } = await (await post("/v1/images/edits", { images, prompt })).json();
  expect(answer).toMatchObject(told);
  expect(settings).toMatchObject({ temperature: expect.any(Number), expected: expect.any(Boolean) });
  expect(events.at(-1)!.data.settings).toEqual(settings);
  const [short] = await eventsOf("/v1/images/generations", { prompt: "make it rain" });
  expect(short!.data).not.toHaveProperty("unread_tokens");
});

test("waiting clients get their position", async () => {
  const slow = slowEngine(engine);
  const server = await startServer(slow.engine, { limits: { width: 1 } });
  const first = server.post("/v1/images/generations", { prompt: "x" });
  await slow.begun(1);
  const second = await server.post("/v1/images/generations", { prompt: "x", stream: true, every_row: true });
  await until(() => server.services.queue.sizes.waiting === 1);
  slow.release();
  expect((await first).status).toBe(200);
  await slow.begun(2);
  slow.release();
  const [waiting, begun] = eventsIn(await second.text());
  expect(waiting).toEqual({ event: "xprompt.queued", data: { type: "xprompt.queued", position: 1 } });
  expect(begun).toEqual({ event: "xprompt.queued", data: { type: "xprompt.queued", position: 0 } });
});

test("failures are events", async () => {
  const server = await startServer(slowEngine(engine).engine, { limits: { timeLimit: 0.01 } });
  const response = await server.post("/v1/images/generations", { prompt: "x", stream: true });
  expect(eventsIn(await response.text())).toEqual([
    { event: "error", data: { type: "error", error: expect.objectContaining({ code: "timeout" }) } },
  ]);
});

test("the first failure ends the other pictures of the request", async () => {
  const { engine: slow } = slowEngine(engine);
  const generate = ((options: Parameters<Engine["generate"]>[0]) =>
    options.seed === 6
      ? Promise.reject(new UsageError("not this one"))
      : slow.generate(options)) as Engine["generate"];
  const server = await startServer({ ...slow, generate });
  const answer = await server.post("/v1/images/generations", { prompt: "x", n: 3, seed: 5 });
  expect(answer.status).toBe(400);
  expect((await answer.json()).error.message).toBe("not this one");
  expect(server.services.queue.sizes).toEqual({ waiting: 0, running: 0 });
});

test.each([
  [0, []],
  [1, [4]],
  [2, [3, 5]],
  [3, [2, 4, 6]],
])("%i partial pictures of 8 rows come after rows %j", (partials, rows) => {
  const wanted = Array.from({ length: 8 }, (_, i) => i + 1).filter((row) =>
    isWanted({ row, rows: 8 }, { partials, everyRow: false }),
  );
  expect(wanted).toEqual(rows);
});
