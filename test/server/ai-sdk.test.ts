/** @file The package's provider for the Vercel AI SDK. */
import { APICallError } from "@ai-sdk/provider";
import { generateImage } from "ai";
import { expect, test } from "vitest";
import { loadBytes, toBytes } from "../../src/image/index.ts";
import {
  createXPrompt,
  dataUrl,
  type ImageStreamPart,
  type XPromptOptions,
} from "../../src/server/ai-sdk.ts";
import { png, slowEngine, startServer, tinyEngine, until } from "./kit.ts";

const { engine } = await tinyEngine();
const { url } = await startServer(engine);
const model = createXPrompt({ baseURL: `${url}/v1` }).image("tiny");

const [before, after, query] = [await png("before"), await png("after"), await png("query", 48)];
const examples = [{ input: dataUrl(before), output: dataUrl(after) }];
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const pixelsOf = async (bytes: Uint8Array) => hex((await loadBytes(bytes)).data);

/** The library's result. */
async function drawn(seed: number) {
  const {
    images: [image],
  } = await engine.generate({
    examples: [{ input: before, output: after }],
    input: query,
    fullSize: true,
    seed,
  });
  return hex(toBytes(image));
}

test("honours the seed and the examples; returns seeds, previews and usage", async () => {
  const { images, providerMetadata, usage, warnings } = await generateImage({
    ...{ model, prompt: { images: [query], text: "" }, n: 2, seed: 5 },
    providerOptions: { xprompt: { examples, partial_images: 2 } },
  });
  expect(await pixelsOf(images[0]!.uint8Array)).toBe(await drawn(5));
  expect(await pixelsOf(images[1]!.uint8Array)).toBe(await drawn(6));
  const told = providerMetadata.xprompt!.images as { seed: number; size: string; previews: string[] }[];
  expect(told.map(({ seed, size, previews }) => [seed, size, previews.length])).toEqual([
    [5, "48x48", 2],
    [6, "48x48", 2],
  ]);
  expect(usage).toMatchObject({ outputTokens: 32 });
  expect(warnings).toEqual([]);
});

test("reports that an aspect ratio is not supported", async () => {
  const { warnings } = await generateImage({ model, prompt: "make it rain", aspectRatio: "16:9" });
  expect(warnings).toMatchObject([{ type: "unsupported", feature: "aspectRatio" }]);
});

test("warns about a prompt that is too long, and tells where the change comes from", async () => {
  const text = "make it rain ".repeat(30);
  const { warnings, providerMetadata } = await generateImage({
    ...{ model, prompt: { images: [query], text } },
  });
  expect(warnings).toMatchObject([{ type: "other", message: expect.stringMatching(/too long .* cut off/) }]);
  expect(providerMetadata.xprompt!.images).toMatchObject([{ changeFrom: "drawing" }]);
});

test("streams pictures row by row", async () => {
  const parts: ImageStreamPart[] = [];
  for await (const part of model.stream({ prompt: "make it rain", seed: 3 })) parts.push(part);
  expect(parts.map((part) => (part.type === "preview" ? part.row : part.seed))).toEqual([1, 2, 3, 3]);
  const { images } = await generateImage({ model, prompt: "make it rain", seed: 3 });
  expect(parts.at(-1)!.base64).toBe(images[0]!.base64);
});

test("errors are the SDK's, with the server's message; a full queue is retryable", async () => {
  const wrong = generateImage({ model: createXPrompt({ baseURL: `${url}/v1` }).image("other"), prompt: "x" });
  await expect(wrong).rejects.toThrow(/choosing a model: expected tiny/);
  const slow = slowEngine(engine);
  const full = await startServer(slow.engine, { limits: { width: 1, depth: 0 } });
  const controller = new AbortController();
  const busy = createXPrompt({ baseURL: `${full.url}/v1/` }).image("tiny");
  const first = generateImage({ model: busy, prompt: "x", abortSignal: controller.signal, maxRetries: 0 });
  await slow.begun(1);
  const second = await Promise.resolve(busy.doGenerate({ prompt: "x", n: 1 } as never)).catch(
    (error: unknown) => error,
  );
  expect(APICallError.isInstance(second) && second.isRetryable && second.statusCode).toBe(429);
  controller.abort();
  await expect(first).rejects.toThrow();
  await until(() => full.services.queue.sizes.running === 0);
});

/** A model whose server answers with these events; `asked` gets the request. */
const answering = (events: string, asked?: (body: Record<string, unknown>) => void) =>
  createXPrompt({
    fetch: async (_url, init) => {
      asked?.(JSON.parse(init!.body as string));
      return new Response(events, { headers: { "content-type": "text/event-stream" } });
    },
  }).image("tiny");

/** The error of `n` pictures. */
const errorOf = async (answers: ReturnType<typeof answering>, n = 1): Promise<APICallError> => {
  const error = await Promise.resolve(answers.doGenerate({ prompt: "x", n } as never)).catch(
    (error: unknown) => error,
  );
  if (!APICallError.isInstance(error)) throw error;
  return error;
};

const completed = (image: number): string => {
  const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2 };
  const data = { image_index: image, b64_json: "AAAA", seed: 1, size: "8x8", usage };
  return `event: image_generation.completed\ndata: ${JSON.stringify(data)}\n\n`;
};

test.each([
  ["rate_limit_error", "queue_full", 429, true],
  ["server_error", "queue_away", 503, true],
  ["server_error", "shutting_down", 503, true],
  ["server_error", "unavailable", 503, true],
  ["server_error", "timeout", 504, false],
  ["server_error", null, 500, false],
  ["invalid_request_error", "invalid_value", 400, false],
])("an error event of type %s and code %s has status %i", async (type, code, statusCode, isRetryable) => {
  const error = { message: "expected more", type, param: null, code };
  const events = `event: error\ndata: ${JSON.stringify({ type: "error", error })}\n\n`;
  expect(await errorOf(answering(events))).toMatchObject({
    message: "expected more",
    statusCode,
    isRetryable,
  });
});

test("a stream that ends before all pictures is an error, which is retryable", async () => {
  expect(await errorOf(answering(completed(1)), 2)).toMatchObject({
    message: expect.stringMatching(/got 1 of 2 pictures/),
    isRetryable: true,
  });
  await expect(answering("").stream({ prompt: "x" }).next()).rejects.toThrow(/got 0 of 1 pictures/);
});

test("options reach the server", async () => {
  const options = {
    ...{ library: true, k: 2, min_similarity: 0.5, expected: true, one_pass: false },
    ...{ example_colours: false, output_format: "webp", output_compression: 60 },
  } satisfies XPromptOptions;
  const bodies: Record<string, unknown>[] = [];
  const answers = answering(completed(0), (body) => bodies.push(body));
  await answers.doGenerate({ prompt: "x", n: 1, providerOptions: { xprompt: options } } as never);
  expect(bodies).toMatchObject([options]);
});
