/**
 * @file A model's files from the web. The weights stay in the browser's cache under their checksum, so that they are fetched
 * once, and there without a network.
 */
/// <reference lib="dom" />
import { z } from "zod";
import { messageOf, XPromptError } from "../errors.ts";
import { sha256 } from "../hash.ts";
import { checkJson, parseJson } from "../runtime/json.ts";
import type { ModelFiles } from "./parts.ts";

export interface FetchModelOptions {
  /** Called while the weights arrive; `total` is 0 where the server does not say it, or compresses them. */
  onProgress?(progress: { readonly bytes: number; readonly total: number }): void;
  readonly signal?: AbortSignal;
}

const CACHE = "xprompt-models";
const checksumSchema = z.looseObject({ weights_sha256: z.string().optional() });

/**
 * Fetches `config.json`, `tokenizer.json` and `model.safetensors`.
 * @param address of the model's folder
 * @throws XPromptError when a file is not there, or the weights are not those of `config.json`
 */
export async function fetchModel(
  address: string | URL,
  options: FetchModelOptions = {},
): Promise<ModelFiles> {
  const folder = new URL(String(address).replace(/\/?$/, "/"), globalThis.location?.href).href;
  const cache = await openCache();
  const [config, tokenizer] = await Promise.all(
    ["config.json", "tokenizer.json"].map((name) => newest(folder + name, cache, options.signal)),
  );
  const doing = `reading ${folder}config.json`;
  const json = parseJson(new TextDecoder().decode(config), doing);
  const { weights_sha256: checksum } = checkJson(json, checksumSchema, doing);
  const weights = await fetchWeights(`${folder}model.safetensors`, checksum, cache, options);
  return { config: config!, tokenizer: tokenizer!, weights };
}

/** Browsers keep no cache for pages on plain HTTP. */
const openCache = async (): Promise<Cache | undefined> =>
  globalThis.caches?.open(CACHE).catch(() => undefined);

/** A small file from the network, or as it was last there. */
async function newest(
  address: string,
  cache: Cache | undefined,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const bytes = await get(address, { signal });
    await keep(cache, address, bytes);
    return bytes;
  } catch (error) {
    signal?.throwIfAborted();
    const kept = await cache?.match(address);
    if (kept) return bytesOf(kept);
    throw error;
  }
}

async function fetchWeights(
  address: string,
  checksum: string | undefined,
  cache: Cache | undefined,
  options: FetchModelOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = checksum && `${address}?sha256=${checksum}`;
  const kept = key && (await cache?.match(key));
  if (kept) {
    const bytes = await bytesOf(kept);
    if (sha256(bytes) === checksum) return bytes;
    await cache!.delete(key);
  }
  const bytes = await get(address, options);
  if (checksum !== undefined && sha256(bytes) !== checksum)
    throw new XPromptError(
      `reading ${address}: expected the checksum in config.json, got another: the file is damaged (copy it again)`,
    );
  if (cache && key) {
    await keep(cache, key, bytes);
    await forgetOthers(cache, `${address}?sha256=`, key).catch(() => undefined);
  }
  return bytes;
}

/** The bytes of a file, and news of them while they arrive. */
async function get(
  address: string,
  { onProgress, signal }: FetchModelOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const failed = (got: string, cause?: unknown) =>
    new XPromptError(`fetching ${address}: expected a file, got ${got} (check the address)`, {
      code: "ERR_FILE",
      cause,
    });
  const lost = (error: unknown): never => {
    signal?.throwIfAborted();
    throw failed(messageOf(error), error);
  };
  const { ok, status, headers, body } = await fetch(address, { signal }).catch(lost);
  if (!ok || !body) throw failed(`status ${status}`);
  // The length of a compressed body is not that of the bytes.
  const total = headers.has("content-encoding") ? 0 : Number(headers.get("content-length") ?? 0);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = body.getReader();
  const next = () => reader.read().catch(lost);
  for (let part = await next(); !part.done; part = await next()) {
    chunks.push(part.value);
    bytes += part.value.length;
    onProgress?.({ bytes, total });
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** A disk that is full is no reason to do without the model. */
async function keep(cache: Cache | undefined, key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  await cache?.put(key, new Response(bytes)).catch(() => undefined);
}

/** Deletes what is kept under other keys that begin with `prefix`. */
async function forgetOthers(cache: Cache, prefix: string, key: string): Promise<void> {
  for (const { url } of await cache.keys())
    if (url.startsWith(prefix) && url !== key) await cache.delete(url);
}

const bytesOf = async (response: Response): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await response.arrayBuffer());
