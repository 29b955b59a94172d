/** @file Static files: listed first, then looked up by name. Text from a request never becomes a path. */
import { readdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { extname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { readFileChecked } from "../runtime/files.ts";

/** The package's own folder. */
export const packageFolder = fileURLToPath(new URL("../..", import.meta.url));

export const packageVersion = (): string =>
  (createRequire(import.meta.url)("../../package.json") as { version: string }).version;

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".webp": "image/webp",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
  ".onnx": "application/octet-stream",
  ".safetensors": "application/octet-stream",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
};

/** The most files of a served folder. */
const MOST = 10_000;

/** The files of servable types below a folder, by name with `/`; empty if there is no such folder. */
export async function filesBelow(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const paths = entries
    .filter((entry) => entry.isFile() && types[extname(entry.name).toLowerCase()] !== undefined)
    .map((entry) => join(entry.parentPath, entry.name))
    .slice(0, MOST);
  return new Map(paths.map((path) => [relative(folder, path).split(sep).join("/"), path]));
}

/** The response with a listed file. */
export async function fileResponse(
  path: string,
  cache: "no-cache" | "immutable" = "no-cache",
): Promise<Response> {
  const bytes = new Uint8Array(await readFileChecked(path, "file"));
  return new Response(bytes, {
    headers: {
      "content-type": types[extname(path).toLowerCase()] ?? "application/octet-stream",
      "cache-control": cache === "immutable" ? "public, max-age=31536000, immutable" : "no-cache",
    },
  });
}
