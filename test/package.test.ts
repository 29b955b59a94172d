/** @file What makes an installation succeed from the npm registry alone. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

test("the lock file does not make npm run onnxruntime-node's install script, which downloads CUDA libraries", async () => {
  const lock: { packages: Record<string, object> } = JSON.parse(await readFile("package-lock.json", "utf8"));
  const entry = lock.packages["node_modules/onnxruntime-node"];
  expect(entry).toBeDefined();
  // npm writes "hasInstallScript" when it locks a new version: remove that line from the entry.
  expect(entry).not.toHaveProperty("hasInstallScript");
});
