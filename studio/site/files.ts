/**
 * @file What the static site has that the page of `xprompt serve` has not: its entry, the model, onnxruntime, example pairs, and
 * the service worker.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Plugin } from "vite";

const root = join(import.meta.dirname, "..", "..");
const { resolve } = createRequire(import.meta.url);

/** onnxruntime's builds: on the CPU, and with WebGPU. */
const RUNTIME = ["", ".asyncify"].flatMap((build) =>
  ["mjs", "wasm"].map((kind) => `ort-wasm-simd-threaded${build}.${kind}`),
);
const MODEL = ["config.json", "tokenizer.json", "model.safetensors"];

/** Example pairs, as `xprompt serve` shows them. */
function gallery(): { readonly entries: object[]; readonly pictures: string[] } {
  const pictures: string[] = [];
  const entries = ["seen", "unseen"].flatMap((group) =>
    readdirSync(join(root, "examples", group), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name: id }) => {
        const names = readdirSync(join(root, "examples", group, id));
        const address = (name: string) => `examples/${group}/${id}/${name}`;
        const queries = names.filter((name) => /^query.*\.png$/.test(name)).sort();
        pictures.push(...["before.png", "after.png", ...queries].map(address));
        return {
          ...{ id, seen: group === "seen", before: address("before.png"), after: address("after.png") },
          queries: queries.map(address),
        };
      }),
  );
  return { entries: entries.sort((a, b) => a.id.localeCompare(b.id)), pictures };
}

export function siteFiles(): Plugin {
  return {
    name: "site-files",
    // The page has another entry, with its own model.
    transformIndexHtml: { order: "pre", handler: (html) => html.replace("/src/main.ts", "/src/site.ts") },
    generateBundle(_options, bundle) {
      const built = Object.keys(bundle);
      const version = createHash("sha256");
      for (const part of Object.values(bundle))
        version.update(part.type === "chunk" ? part.code : part.source);
      const emit = (fileName: string, source: string | Uint8Array) => {
        version.update(source);
        this.emitFile({ type: "asset", fileName, source });
      };
      for (const name of RUNTIME) emit(`ort/${name}`, readFileSync(resolve(`onnxruntime-web/${name}`)));
      for (const name of MODEL) emit(`models/nano/${name}`, readFileSync(join(root, "models", "nano", name)));
      const { entries, pictures } = gallery();
      for (const path of pictures) emit(path, readFileSync(join(root, path)));
      emit("gallery.json", JSON.stringify(entries));
      const shell = ["./", "icon.svg", ...built, "gallery.json", ...pictures];
      const worker = readFileSync(join(import.meta.dirname, "sw.js"), "utf8")
        .replace('VERSION = ""', () => `VERSION = "${version.digest("hex").slice(0, 16)}"`)
        .replace("SHELL = []", () => `SHELL = ${JSON.stringify(shell)}`);
      this.emitFile({ type: "asset", fileName: "sw.js", source: worker });
    },
  };
}
