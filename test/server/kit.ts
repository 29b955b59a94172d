/** @file A server on a free port with a tiny model, and requests to it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { encodePng, type Image } from "../../src/image/index.ts";
import { batchedEngine } from "../../src/server/engine.ts";
import { jsonLog } from "../../src/server/log.ts";
import { type ServeOptions, serve } from "../../src/server/serve.ts";
import type { Engine } from "../../src/server/services.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { somePicture, writeTinyModel } from "../fixtures/xprompt/kit.ts";

/** A tiny model, released after the tests of the file. */
export async function tinyEngine(): Promise<{ readonly folder: string; readonly engine: Engine }> {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-server-"));
  await writeTinyModel(join(folder, "tiny"));
  const model = await XPrompt.load(join(folder, "tiny"), { threads: 1 });
  const engine = batchedEngine(model);
  afterAll(async () => {
    await engine.release();
    await model.release();
    await rm(folder, { recursive: true });
  });
  return { folder, engine };
}

/** A server that is closed after the tests of the file, and the lines of its log. */
export async function startServer(engine: Engine, options: Partial<ServeOptions> = {}) {
  const lines: Record<string, unknown>[] = [];
  const running = await serve({
    ...{ engine, model: "tiny", host: "127.0.0.1", port: 0, origins: [] },
    log: jsonLog((line) => lines.push(JSON.parse(line))),
    ...options,
  });
  afterAll(() => running.close());
  const ask = (path: string, init?: RequestInit) => fetch(running.url + path, init);
  /** Posts JSON. */
  const post = (path: string, body: unknown, init: RequestInit = {}) =>
    ask(path, {
      method: "POST",
      body: JSON.stringify(body),
      ...init,
      headers: { "content-type": "application/json", ...init.headers },
    });
  return { ...running, lines, ask, post };
}

/** An engine that waits for its release, and reports when a request starts. */
export function slowEngine(engine: Engine) {
  const waiting: (() => void)[] = [];
  let begun = 0;
  const onBegin: (() => void)[] = [];
  const slow: Engine = {
    fingerprint: engine.fingerprint,
    size: engine.size,
    codesPerImage: engine.codesPerImage,
    compress: (...args) => engine.compress(...args),
    describe: (...args) => engine.describe(...args),
    generate: (async (options: Parameters<Engine["generate"]>[0]) => {
      begun++;
      for (const call of onBegin.splice(0)) call();
      await new Promise<void>((resolve, reject) => {
        waiting.push(resolve);
        options.signal?.addEventListener("abort", () => reject(options.signal!.reason), { once: true });
      });
      return engine.generate(options);
    }) as Engine["generate"],
  };
  return {
    engine: slow,
    /** Releases the request that has waited longest. */
    release: () => waiting.shift()?.(),
    /** Resolves when this many requests have started. */
    begun: async (count: number) => {
      while (begun < count) await new Promise<void>((resolve) => onBegin.push(resolve));
    },
  };
}

/** Resolves when a condition holds; it is checked on every turn of the event loop. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

export const png = (name: string, size?: number): Promise<Buffer> => encodePng(somePicture(name, size));
export const file = async (image: Image | string, name = "picture.png"): Promise<File> =>
  new File([new Uint8Array(await encodePng(typeof image === "string" ? somePicture(image) : image))], name, {
    type: "image/png",
  });
export const dataUrl = async (name: string, size?: number): Promise<string> =>
  `data:image/png;base64,${(await png(name, size)).toString("base64")}`;
