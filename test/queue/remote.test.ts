/** @file The work of a model, done by workers: equal to what the model does here. */
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, describe, expect, test, vi } from "vitest";
import { evaluate, suites } from "../../src/evaluation/index.ts";
import { colourSums } from "../../src/image/example-colours.ts";
import { type ByteImage, encodePng, type Image, toBytes } from "../../src/image/index.ts";
import { checkedData, checkedResult } from "../../src/queue/data.ts";
import { type Ask, jobKinds, remoteModel, spreadOver, WorkerModel } from "../../src/queue/index.ts";
import { caption, captionFingerprint } from "../../src/queue/kinds/caption.ts";
import { packPicture } from "../../src/queue/pictures.ts";
import { queueEngine } from "../../src/server/engine.ts";
import type { ExampleRequest, ExampleSource } from "../../src/xprompt/example-source.ts";
import { type Progress, XPrompt } from "../../src/xprompt/model.ts";
import { VisualPrompt } from "../../src/xprompt/prompt.ts";
import { somePicture, writeTinyModel } from "../fixtures/xprompt/kit.ts";
import { dataUrl, startServer, until } from "../server/kit.ts";
import { clientsOf, hasRedis, needed, redisServer } from "./kit.ts";

const redis = await redisServer();
const folder = await mkdtemp(join(tmpdir(), "xprompt-remote-"));
await writeTinyModel(join(folder, "tiny"));
const load = () => XPrompt.load(join(folder, "tiny"), { threads: 1 });
const models = await Promise.all([load(), load(), load()]);
const [model, ...theirs] = models as [XPrompt, XPrompt, XPrompt];
afterAll(async () => {
  for (const each of models) await each.release();
  await rm(folder, { recursive: true });
});
const { queue, worker, rawQueue } = clientsOf(redis.url);
if (hasRedis)
  for (const each of theirs)
    await worker(jobKinds, { parts: { model: new WorkerModel(each) }, lockSeconds: 30 });

async function remote(): Promise<XPrompt> {
  const jobs = await queue();
  return remoteModel(model, (kind, data, options) => jobs.run(kind, model.fingerprint, data, options));
}

const example = { input: somePicture("before"), output: somePicture("after"), instruction: "make it rain" };
const input = somePicture("query");
/** Values that 8 bits cannot hold. */
const fine: Image = { ...input, data: input.data.map((value, i) => value * (0.9 + 0.1 * Math.sin(i))) };

describe("a model whose jobs are done here", () => {
  const done: Ask = async (kind, data, { signal = new AbortController().signal }) => {
    const parts = { model: new WorkerModel(theirs[0]!) };
    return checkedResult(
      kind,
      await kind.handle(checkedData(kind, data), parts, { signal, onProgress: async () => {} }),
    );
  };
  const far = remoteModel(model, done);

  test("does not stream", () => {
    expect(() => far.stream({ input, seed: 1 })).toThrow("(use generate with onProgress)");
  });

  test("shows a library the picture as it was given, and the codes that the model sees", async () => {
    const asked: ExampleRequest[] = [];
    const library: ExampleSource = {
      async retrieve(_model, request) {
        asked.push(request);
        return { examples: [] };
      },
    };
    const options = {
      input: await encodePng(somePicture("wide", 50)),
      library,
      seed: 1,
      fullSize: true,
    } as const;
    await model.generate(options);
    await far.generate(options);
    expect(asked[0]!.input!.picture).toBe(options.input);
    expect(asked[1]!.input).toEqual(asked[0]!.input);
  });

  test.each(["", "make it dark"])(
    "applies the colours of retrieved examples, with the words %j",
    async (words) => {
      const before = somePicture("before");
      const after = { ...before, data: before.data.map((value) => value / 2) };
      const { model: fingerprint, blocks } = await model.compress([{ input: before, output: after }]);
      // As in a library, whose blocks hold no colours.
      const prompt = VisualPrompt.of(
        fingerprint,
        blocks.map(({ colours: _, ...block }) => block),
      );
      const facts = { id: "1", source: "", similarity: 1, distance: 0, parts: {}, block: "kept" } as const;
      const examples = [{ ...facts, instruction: "make it dark" }];
      const library: ExampleSource = {
        retrieve: async () => ({ prompt, examples, colours: async () => [colourSums(before, after)] }),
      };
      const options = { input: await encodePng(input), instruction: words, library, seed: 1 };
      const [here, there] = [
        await model.generate({ ...options, fullSize: true }),
        await far.generate({ ...options, fullSize: true }),
      ];
      expect([here.changeFrom, there.changeFrom]).toEqual(["example colours", "example colours"]);
      expect([...there.images[0].data]).toEqual([...here.images[0].data]);
      expect(there.retrieved).toEqual(here.retrieved);
      const other = { ...options, instruction: "make it rain", fullSize: true } as const;
      expect((await far.generate(other)).changeFrom).toBe("drawing");
      expect((await far.generate({ ...options, exampleColours: false, fullSize: true })).changeFrom).toBe(
        "drawing",
      );
    },
  );

  test("takes an earlier result at full size as it is, in 8 bits", async () => {
    const settings = { examples: [example], input: await encodePng(somePicture("wide", 50)), seed: 1 };
    const [earlier] = (await model.generate({ ...settings, fullSize: true })).images;
    expect(earlier.data).toBeInstanceOf(Uint8Array);
    const options = {
      input: earlier,
      examples: [{ input, output: earlier }],
      seed: 2,
      fullSize: true,
    } as const;
    const [here, there] = [await model.generate(options), await far.generate(options)];
    expect(there.codes).toEqual(here.codes);
    expect([...there.images[0].data]).toEqual([...here.images[0].data]);
  });

  test("describes several examples, as the model does", async () => {
    const settings = { seed: 1, temperature: 1 };
    const several = [example, { ...example, output: somePicture("other") }];
    expect(await far.describe(several, settings)).toBe(await model.describe(several, settings));
    expect(await far.describe(several, settings)).not.toBe(await model.describe(example, settings));
  });

  test("tells of one row at a time and of none after the result, and encodes the input once", async () => {
    const encode = vi.spyOn(model.base.tokenizer, "encodeImages");
    let previews = 0;
    const onProgress = vi.fn(async ({ preview }: Progress) => {
      await preview();
      previews++;
    });
    const eager: Ask = async (kind, data, options) => {
      const result = await done(kind, data, options);
      const tell = (row: number) =>
        options.onProgress?.({ row, rows: 4, codes: [Array.from({ length: 4 * row }, () => 0)] });
      tell(1);
      await until(() => previews === 1);
      for (const row of [2, 3]) tell(row);
      return result;
    };
    await remoteModel(model, eager).generate({ input, seed: 1, onProgress });
    expect(onProgress.mock.calls.map(([{ row }]) => row)).toEqual([1, 2]);
    expect(previews).toBe(2);
    expect(encode).toHaveBeenCalledTimes(1);
    encode.mockRestore();
  });

  test("tells when examples are compressed", async () => {
    const onProgress = vi.fn();
    await far.compress([example, example], { onProgress });
    expect(onProgress.mock.calls).toEqual([[{ done: 2, examples: 2 }]]);
  });
});

describe.skipIf(!hasRedis)(`a model with workers${needed}`, () => {
  test("generates the pictures of the model here", async () => {
    const far = await remote();
    for (const options of [
      { examples: [example], input, seed: 3 },
      { input: fine, seed: 4, samples: 2, temperature: 0.7, guidance: { image: 2 } },
      { instruction: "add a green box", seed: 5, expected: true },
      { examples: [example], input: await encodePng(somePicture("large", 50)), seed: 6, fullSize: true },
    ]) {
      const [here, there] = [await model.generate(options), await far.generate(options)];
      expect(there.codes).toEqual(here.codes);
      const pixels = (image: Image | ByteImage) => Buffer.from(toBytes(image));
      expect(there.images.map(pixels)).toEqual(here.images.map(pixels));
      expect(there).toMatchObject({ seed: here.seed, settings: here.settings, tokens: here.tokens });
    }
  });

  test("tells of rows in their order, with previews, as far as it comes before the result", async () => {
    const progressOf = async (drawing: XPrompt) => {
      const told: (readonly [number, number, Image])[] = [];
      await drawing.generate({
        ...{ examples: [example], input, seed: 31 },
        onProgress: async ({ row, rows, preview }) => {
          told.push([row, rows, (await preview())[0]!]);
        },
      });
      return told;
    };
    const [there, here] = [await progressOf(await remote()), await progressOf(model)];
    expect(there.length).toBeGreaterThan(0);
    expect(there).toEqual(here.slice(0, there.length));
  });

  test("compresses, describes, scores and reconstructs as the model here", async () => {
    const far = await remote();
    const prompt = await model.compress([example]);
    expect(await (await far.compress([example])).toBytes()).toEqual(await prompt.toBytes());
    for (const what of [example, { prompt }])
      expect(await far.describe(what, { seed: 1, temperature: 1 })).toBe(
        await model.describe(what, { seed: 1, temperature: 1 }),
      );
    const asked = { prompt, input, output: fine };
    expect(await far.score(asked)).toEqual(await model.score(asked));
    expect(await far.reconstruct([input, fine])).toEqual(await model.reconstruct([input, fine]));
  });

  test("passes on what a worker refuses", async () => {
    const far = await remote();
    const broken = new Uint8Array([1, 2, 3]);
    await expect(far.generate({ input: broken, seed: 1 })).rejects.toMatchObject({
      ...{ name: "XPromptError", code: "ERR_INPUT", message: expect.stringContaining("input") },
    });
    await expect(far.generate({ input, seed: 1, topP: 7 })).rejects.toMatchObject({ code: "ERR_INPUT" });
  });
});

describe.skipIf(!hasRedis)(`an evaluation over two workers${needed}`, () => {
  const named = (name: string) => suites.find((suite) => suite.name === name)!;
  const withoutTimes = (result: object) =>
    JSON.parse(JSON.stringify(result, (key, value) => (key === "milliseconds" ? undefined : value)));

  test.each(["compression", "text-to-image"])("%s has the figures of a local one", async (name) => {
    const jobs = await queue();
    const options = {
      ...{ model: join(folder, "tiny"), seed: 7, limit: 1, options: {}, command: "" },
      load: { threads: 1 },
    };
    const out = (place: string) => join(folder, `${name}-${place}`);
    const here = await evaluate(named(name), { ...options, out: out("here") });
    const there = await evaluate(named(name), {
      ...{ ...options, out: out("there") },
      spread: (used) => spreadOver(jobs, used),
    });
    expect(withoutTimes(there.result)).toEqual(withoutTimes(here.result));
    const report = async (place: string) => readFile(join(out(place), "report.html"), "utf8");
    if (name !== "compression") expect(await report("there")).toBe(await report("here"));
  });
});

describe.skipIf(!hasRedis)(`a server with workers${needed}`, () => {
  test("answers with the pictures of the model here, and streams them", async () => {
    const { post } = await startServer(queueEngine(model, await queue({ waits: false })));
    const body = {
      images: [{ image_url: await dataUrl("query") }],
      examples: [{ input: await dataUrl("before"), output: await dataUrl("after") }],
      ...{ seed: 3, n: 2, full_size: false },
    };
    const response = await post("/v1/images/edits", body);
    expect(response.status).toBe(200);
    const { data } = (await response.json()) as { data: { b64_json: string }[] };
    const local = await startServer(model);
    const same = (await (await local.post("/v1/images/edits", body)).json()) as typeof response & {
      data: typeof data;
    };
    expect(data).toEqual(same.data);
    const streamed = await (
      await post("/v1/images/edits", { ...body, seed: 9, n: 1, stream: true, every_row: true })
    ).text();
    // Rows that are not told before the picture is complete are left out.
    expect(streamed).toMatch(
      /^(event: image_edit\.partial_image\n.*\n\n){1,3}event: image_edit\.completed\n/,
    );
  });

  test("answers 429 with a time to come again when the queue is full", async () => {
    const other = Object.assign(Object.create(model) as XPrompt, { fingerprint: "nobody" });
    const engine = queueEngine(other, await queue({ waits: false, limit: 1 }));
    const { post, services } = await startServer(engine, { limits: { grace: 0 } });
    const ask = (seed: number) => post("/v1/images/generations", { prompt: "make it rain", seed });
    const first = ask(1);
    const waiting = rawQueue("generate-nobody");
    await expect.poll(() => waiting.count()).toBe(1);
    const refused = await ask(2);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(await refused.json()).toMatchObject({ error: { type: "rate_limit_error", code: "queue_full" } });
    services.queue.abort();
    expect((await first).status).toBe(503);
    // The job of a request that has ended is nobody's any more.
    await expect.poll(() => waiting.count()).toBe(0);
  });
});

test.skipIf(!hasRedis)(`a worker asks a vision-language model for captions${needed}`, async () => {
  const answer = {
    ...{ subtask: "other", instruction: "make it rain", reverseInstruction: "stop the rain" },
    ...{ difference: "it rains in the output image", reverseDifference: "it rains in the input image" },
  };
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    asked.push(`${request.headers.authorization} ${await text(request)}`);
    const choices = [{ message: { content: JSON.stringify(answer) } }];
    response.end(JSON.stringify({ choices, usage: { prompt_tokens: 7, completion_tokens: 3 } }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const captioner = { baseUrl: `http://127.0.0.1:${port}/v1`, model: "seer", apiKey: "the worker's" };
  await worker([caption], { parts: { captioner }, lockSeconds: 30 });
  const data = {
    input: await packPicture(somePicture("before"), "input"),
    output: await packPicture(somePicture("after"), "output"),
  };
  const jobs = await queue();
  for (let i = 0; i < 2; i++)
    expect(await jobs.run(caption, captionFingerprint("seer"), data)).toEqual({
      caption: answer,
      usage: { promptTokens: 7, completionTokens: 3 },
    });
  expect(asked).toHaveLength(1);
  expect(asked[0]).toContain("Bearer the worker's");
  server.close();
});
