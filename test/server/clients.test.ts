/** @file Unmodified third-party clients: OpenAI's for Node in two major versions, and the Vercel AI SDK. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateImage } from "ai";
import OpenAI7, { toFile } from "openai";
import OpenAI6 from "openai6";
import { describe, expect, test } from "vitest";
import { loadBytes, toBytes } from "../../src/image/index.ts";
import { dataUrl, file, png, startServer, tinyEngine } from "./kit.ts";

const { engine } = await tinyEngine();
const { url } = await startServer(engine);

const [before, after, query] = [await png("before"), await png("after"), await png("query", 48)];
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const pixelsOf = async (bytes: Uint8Array) => hex((await loadBytes(bytes)).data);
const decoded = (base64: string | undefined) => pixelsOf(Buffer.from(base64!, "base64"));

/** The library's result for the request that all clients send. */
const {
  images: [expected],
} = await engine.generate({
  examples: [{ input: before, output: after }],
  input: query,
  fullSize: true,
  seed: 5,
});
const truth = hex(toBytes(expected));

describe.each([
  ["6", OpenAI6 as unknown as typeof OpenAI7],
  ["7", OpenAI7],
])("openai %s for Node", (_version, OpenAI) => {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const picture = (bytes: Uint8Array, name: string) => toFile(bytes, name, { type: "image/png" });

  test("edits: a row of pictures, and extra fields", async () => {
    const answer = await client.images.edit({
      image: [await picture(before, "a.png"), await picture(after, "b.png"), await picture(query, "c.png")],
      prompt: "",
      ...{ seed: 5 },
    });
    expect(await decoded(answer.data![0]!.b64_json)).toBe(truth);
    expect(answer.usage!.output_tokens).toBe(16);
  });

  test("edits: example files as extra fields", async () => {
    const answer = await client.images.edit({
      image: await picture(query, "c.png"),
      prompt: "",
      n: 1,
      ...{
        seed: 5,
        example_input: [await picture(before, "a.png")],
        example_output: [await picture(after, "b.png")],
      },
    });
    expect(await decoded(answer.data![0]!.b64_json)).toBe(truth);
  });

  test("generations, streamed", async () => {
    const stream = await client.images.generate({ prompt: "make it rain", stream: true, partial_images: 2 });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types).toEqual([
      "image_generation.partial_image",
      "image_generation.partial_image",
      "image_generation.completed",
    ]);
  });

  test("edits, streamed", async () => {
    const stream = await client.images.edit({
      image: await picture(query, "c.png"),
      prompt: "x",
      stream: true,
      partial_images: 1,
    });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types).toEqual(["image_edit.partial_image", "image_edit.completed"]);
  });

  test("models, and errors of the client's own kinds", async () => {
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["tiny"]);
    const wrong = client.images.generate({ prompt: "x", model: "gpt-image-1" });
    await expect(wrong).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(client.images.generate({ prompt: "" })).rejects.toThrow(
      /expected a prompt, examples or an xprompt/,
    );
  });
});

describe("the Vercel AI SDK through openai-compatible", () => {
  const provider = createOpenAICompatible({ name: "xprompt", baseURL: `${url}/v1` });

  test("edits with options of the server", async () => {
    const { images } = await generateImage({
      model: provider.imageModel("tiny"),
      prompt: { images: [query], text: "" },
      providerOptions: {
        xprompt: {
          seed: 5,
          examples: JSON.stringify([{ input: await dataUrl("before"), output: await dataUrl("after") }]),
        },
      },
    });
    expect(await pixelsOf(images[0]!.uint8Array)).toBe(truth);
  });

  test("generates several", async () => {
    const { images } = await generateImage({
      model: provider.imageModel("tiny"),
      prompt: "make it rain",
      n: 2,
      size: "40x40",
    });
    expect(images).toHaveLength(2);
    const { width, height } = await loadBytes(images[1]!.uint8Array);
    expect([width, height]).toEqual([40, 40]);
  });
});

test("a browser's form", async () => {
  const form = new FormData();
  form.append("image", await file("query"));
  form.append("prompt", "make it rain");
  const response = await fetch(`${url}/v1/images/edits`, { method: "POST", body: form });
  expect(response.status).toBe(200);
});
