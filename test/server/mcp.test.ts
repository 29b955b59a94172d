/** @file The MCP tools, called by the official client over HTTP and over standard input and output. */
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { afterAll, describe, expect, test } from "vitest";
import { loadBytes, toBytes } from "../../src/image/index.ts";
import { ExampleLibrary, Retriever } from "../../src/retrieval/index.ts";
import { bin } from "../cli/kit.ts";
import { example, wordEmbedder } from "../retrieval/kit.ts";
import { dataUrl, png, slowEngine, startServer, tinyEngine, until } from "./kit.ts";

const { engine, folder } = await tinyEngine();
const { url } = await startServer(engine);
const [before, after, query] = [await png("before"), await png("after"), await png("query", 48)];

const {
  images: [expected],
} = await engine.generate({
  examples: [{ input: before, output: after }],
  input: query,
  fullSize: true,
  seed: 5,
});
const truth = Buffer.from(toBytes(expected)).toString("hex");
const pixelsOf = async (base64: string) =>
  Buffer.from((await loadBytes(Buffer.from(base64, "base64"))).data).toString("hex");

interface Content {
  readonly type: string;
  readonly data?: string;
  readonly mimeType?: string;
  readonly text?: string;
}

async function connect(
  transport: ConstructorParameters<typeof Client> extends never ? never : Parameters<Client["connect"]>[0],
) {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  afterAll(() => client.close());
  return async (
    name: string,
    given: object,
    onprogress?: (progress: { progress: number; total?: number }) => void,
  ) => {
    const result = await client.callTool({ name, arguments: { ...given } }, { onprogress });
    return {
      ...result,
      content: result.content as Content[],
      data: result.structuredContent as Record<string, unknown>,
    };
  };
}

describe("with a library", async () => {
  const library = await ExampleLibrary.open(join(folder, "pairs"), { create: true });
  await library.add([await example("a", "remove the rain"), await example("b", "a red ball")], wordEmbedder);
  const served = await startServer(engine, { libraries: new Map([["pairs", library]]) });
  const call = await connect(new StreamableHTTPClientTransport(new URL(`${served.url}/mcp`)));

  test("its examples are found by words, the nearest first", async () => {
    const { data, isError } = await call("search_examples", { instruction: "a red ball", k: 2 });
    expect(isError).toBeFalsy();
    expect((data.examples as object[])[0]).toMatchObject({ instruction: "a red ball" });
    const { content, isError: failed } = await call("search_examples", { instruction: "x", library: "none" });
    expect([failed, content[0]!.text]).toEqual([true, expect.stringContaining("none")]);
  });

  test("use_library draws with the example that fits", async () => {
    const retrieved = await engine.generate({
      library: new Retriever(library),
      instruction: "a red ball",
      seed: 5,
    });
    const { content, isError } = await call("apply_change", {
      instruction: "a red ball",
      use_library: true,
      seed: 5,
    });
    expect(isError, JSON.stringify(content)).toBeFalsy();
    expect(await pixelsOf(content[0]!.data!)).toBe(Buffer.from(toBytes(retrieved.images[0])).toString("hex"));
    expect(retrieved.retrieved).toMatchObject([{ instruction: "a red ball" }]);
  });
});

describe("over HTTP", async () => {
  const call = await connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`)));
  const examples = [{ before: await dataUrl("before"), after: await dataUrl("after") }];
  const picture = await dataUrl("query", 48);

  test("a change is applied: a picture, data, and progress on the way", async () => {
    const seen: number[] = [];
    const { content, data, isError } = await call(
      "apply_change",
      { examples, picture, seed: 5 },
      ({ progress }) => seen.push(progress),
    );
    expect(isError, JSON.stringify(content)).toBeFalsy();
    const [image] = content;
    expect(image).toMatchObject({ type: "image", mimeType: "image/png" });
    expect(await pixelsOf(image!.data!)).toBe(truth);
    expect(data).toMatchObject({ pictures: [{ seed: 5, size: "48x48" }], model: "tiny" });
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  test("progress goes up, though several pictures are drawn together", async () => {
    const seen: number[] = [];
    await call("apply_change", { instruction: "x", count: 2 }, ({ progress }) => seen.push(progress));
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test("a prompt is compiled and used; a change is described", async () => {
    const { data } = await call("compile_prompt", { examples, name: "rain" });
    expect(data).toMatchObject({ name: "rain", examples: 1 });
    const { content } = await call("apply_change", { prompt: data.id, picture, seed: 5 });
    expect(await pixelsOf(content[0]!.data!)).toBe(truth);
    const described = await call("describe_change", { examples });
    const text = await engine.describe({ input: before, output: after });
    expect(described.data).toEqual({ text, model: "tiny" });
  });

  test.each([
    [{ picture: "before.png", instruction: "x" }, /expected base64/],
    [{ picture: "/etc/passwd", instruction: "x" }, /PNG, JPEG or WebP/],
    [{ prompt: "xp_none", instruction: "x" }, /\/v1\/xprompts/],
    [{}, /expected a prompt, examples or an xprompt/],
    [{ instruction: "x", seed: Number.MAX_SAFE_INTEGER }, /^applying a change: seed: expected /],
  ])("%j is refused in words", async (given, says) => {
    const { isError, content } = await call("apply_change", given);
    expect(isError).toBe(true);
    expect(content[0]!.text).toMatch(says);
  });
});

test("bodies over HTTP count towards the budget of all requests, until their tools end", async () => {
  const call = (text: string) => ({
    ...{ jsonrpc: "2.0", id: 1, method: "tools/call" },
    params: { name: "apply_change", arguments: { instruction: text } },
  });
  const init = { headers: { accept: "application/json, text/event-stream" } };
  const small = await startServer(engine, { limits: { body: 20_000, bodies: 10_000 } });
  const refused = await small.post("/mcp", call("x".repeat(15_000)), init);
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ error: { code: "busy" } });
  expect(small.services.bodies.bytes).toBe(0);

  const slow = slowEngine(engine);
  const { post, services } = await startServer(slow.engine);
  const answered = post("/mcp", call("make it rain"), init).then((response) => response.text());
  await slow.begun(1);
  expect(services.bodies.bytes).toBe(JSON.stringify(call("make it rain")).length);
  slow.release();
  expect(await answered).toContain('"pictures"');
  await until(() => services.bodies.bytes === 0);
});

test("over standard input and output, with files of one folder, and results kept", async () => {
  const [root, output] = [join(folder, "root"), join(folder, "results")];
  await mkdir(root);
  for (const [name, bytes] of [
    ["before", before],
    ["after", after],
    ["query", query],
  ] as const)
    await writeFile(join(root, `${name}.png`), bytes);
  await writeFile(join(folder, "secret.png"), before);
  await symlink(join(folder, "secret.png"), join(root, "link.png"));
  const options = ["--model", join(folder, "tiny"), "--root", root, "--output", output, "--threads", "1"];
  const call = await connect(
    new StdioClientTransport({ command: process.execPath, args: [bin, "mcp", ...options], stderr: "ignore" }),
  );
  const examples = [{ before: "before.png", after: join(root, "after.png") }];
  const { data, content } = await call("apply_change", { examples, picture: "query.png", seed: 5 });
  expect(await pixelsOf(content[0]!.data!)).toBe(truth);
  const [file] = await readdir(output);
  expect(data.pictures).toMatchObject([{ path: join(output, file!) }]);
  for (const picture of ["../secret.png", "link.png", join(folder, "secret.png"), "none.png"]) {
    const refused = await call("apply_change", { examples, picture });
    expect(refused.content[0]!.text).toMatch(/expected a picture below/);
  }
});
