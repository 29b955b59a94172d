/** @file A model from the web, with a network and a browser's cache in memory. */
import { afterEach, expect, test, vi } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { sha256 } from "../../src/hash.ts";
import { fetchModel } from "../../src/xprompt/fetch-model.ts";

afterEach(() => vi.unstubAllGlobals());

const folder = "https://example.org/model";

/** Serves a model with these weights. */
function serve(weights: string, headers: Record<string, string> = {}): void {
  const files: Record<string, string> = {
    "config.json": JSON.stringify({ weights_sha256: sha256(weights) }),
    "tokenizer.json": "{}",
    "model.safetensors": weights,
  };
  vi.stubGlobal(
    "fetch",
    async (address: string) => new Response(files[address.split("/").at(-1)!], { headers }),
  );
}

/** A browser's cache, as a map. */
function stubCache(): Map<string, Response> {
  const kept = new Map<string, Response>();
  const cache = {
    match: async (key: string) => kept.get(key)?.clone(),
    put: async (key: string, response: Response) => void kept.set(key, response),
    delete: async (key: string) => kept.delete(key),
    keys: async () => [...kept.keys()].map((url) => ({ url })),
  };
  vi.stubGlobal("caches", { open: async () => cache });
  return kept;
}

test("new weights take the place of the former ones in the cache", async () => {
  const kept = stubCache();
  const other = "https://example.org/another/model.safetensors?sha256=1";
  kept.set(other, new Response("another model"));
  for (const weights of ["first", "second"]) {
    serve(weights);
    expect(Buffer.from((await fetchModel(folder)).weights).toString()).toBe(weights);
    expect([...kept.keys()].sort()).toEqual([
      other,
      `${folder}/config.json`,
      `${folder}/model.safetensors?sha256=${sha256(weights)}`,
      `${folder}/tokenizer.json`,
    ]);
  }
});

test.each([
  [{ "content-length": "7" }, 7],
  [{ "content-length": "3", "content-encoding": "gzip" }, 0],
])("of %j the total is %i", async (headers, total) => {
  serve("weights", headers);
  const seen: unknown[] = [];
  await fetchModel(folder, { onProgress: (progress) => seen.push(progress) });
  expect(seen).toEqual([{ bytes: 7, total }]);
});

test("a connection that is lost while the weights arrive is one clear error; an abort has its reason", async () => {
  serve("weights");
  const whole = globalThis.fetch;
  const broken = () => {
    const error = new TypeError("terminated");
    const source = { pull: (controller: ReadableStreamDefaultController) => controller.error(error) };
    return new Response(new ReadableStream(source));
  };
  vi.stubGlobal("fetch", (address: string) =>
    address.endsWith(".safetensors") ? Promise.resolve(broken()) : whole(address),
  );
  const attempt = fetchModel(folder);
  await expect(attempt).rejects.toThrow(XPromptError);
  await expect(attempt).rejects.toMatchObject({
    code: "ERR_FILE",
    message: `fetching ${folder}/model.safetensors: expected a file, got terminated (check the address)`,
  });
  const reason = new Error("enough");
  await expect(fetchModel(folder, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
