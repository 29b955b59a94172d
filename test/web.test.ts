/** @file What `x-prompt/web` is made of: nothing that browsers lack. */
import { existsSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const { browser } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  browser: Record<string, string>;
};

/** A file of `dist` as the file of `src` that it is built of. */
const sourceOf = (built: string): string => built.replace("./dist/", "src/").replace(/\.js$/, ".ts");
/** The modules that stand in for others in browsers. */
const twins = new Map(Object.entries(browser).map((pair) => pair.map(sourceOf) as [string, string]));

/** What a file loads when it runs: types are erased. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  const statements = text.matchAll(/^(?:import|export)\s+(?!type\b)(?:[^;"]*?from\s+)?"([^"]+)"/gm);
  const later = text.matchAll(/\bimport\("([^"]+)"\)/g);
  return [...statements, ...later].map(([, name]) => name!);
}

/** Files of the closure of `entry` as a bundler for browsers sees it, and the packages that they import. */
function closureOf(entry: string): { files: Set<string>; packages: Map<string, string> } {
  const files = new Set<string>();
  const packages = new Map<string, string>();
  const open = [entry];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    for (const name of importsOf(file)) {
      if (!name.startsWith(".")) packages.set(name, file);
      else {
        const target = relative(root, resolve(root, file, "..", name));
        open.push(twins.get(target) ?? target);
      }
    }
  }
  return { files, packages };
}

const { files, packages } = closureOf("src/web.ts");

test("the closure imports packages that run in browsers, and nothing of Node's", () => {
  expect([...packages.keys()].sort()).toEqual([
    "@huggingface/tokenizers",
    "@noble/hashes/sha2.js",
    "@noble/hashes/utils.js",
    "onnxruntime-web/wasm",
    "onnxruntime-web/webgpu",
    "pbf",
    "pure-rand/generator/xoroshiro128plus",
    "zod",
  ]);
});

test("the closure has the model, and uses none of Node's globals", () => {
  expect(files.size).toBeGreaterThan(60);
  expect([...files]).toContain("src/xprompt/model.ts");
  const globals = /(?<![\w.])(?:Buffer\.|process\.|setImmediate\(|__dirname|require\()/;
  const using = [...files].filter((file) => globals.test(readFileSync(join(root, file), "utf8")));
  expect(using).toEqual([]);
});

test("every module with a twin exports what the twin's importers ask for", async () => {
  for (const [module, twin] of twins) {
    expect(twin).toBe(module.replace(/\.ts$/, ".browser.ts"));
    expect([module, twin].filter((file) => !existsSync(join(root, file)))).toEqual([]);
  }
  // Without a twin, a name that an importer in the closure asks for is missing from the bundle.
  for (const file of files)
    for (const [, list, name] of readFileSync(join(root, file), "utf8").matchAll(
      /^(?:import|export) \{([^}]*)\} from "(\.[^"]+)"/gm,
    )) {
      const twin = twins.get(relative(root, resolve(root, file, "..", name!)));
      if (!twin) continue;
      const text = readFileSync(join(root, twin), "utf8");
      const asked = list!.split(",").map((item) => item.trim().split(" as ")[0]!);
      const missing = asked.filter(
        (item) => item && !/^type /.test(item) && !new RegExp(`\\b${item}\\b`).test(text),
      );
      expect(missing.map((item) => `${twin}: ${item}`)).toEqual([]);
    }
});
