/** @file What a command says while it loads its model. */
import { mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { sayLarge } from "../../src/cli/load.ts";

const folder = await mkdtemp(join(tmpdir(), "xprompt-load-"));
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => {
  vi.restoreAllMocks();
});

test("a large model is announced with its size, a small or missing one is not", async () => {
  const said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  for (const shard of ["1.safetensors", "2.safetensors", "notes.bin"])
    await writeFile(join(folder, shard), "");
  await symlink("nowhere", join(folder, "broken.safetensors"));
  await truncate(join(folder, "notes.bin"), 2 ** 33); // sparse: it takes no room
  await sayLarge(folder);
  await sayLarge(join(folder, "missing"));
  expect(said).not.toHaveBeenCalled();
  for (const shard of ["1.safetensors", "2.safetensors"]) await truncate(join(folder, shard), 2 ** 29);
  await sayLarge(folder);
  expect(said.mock.calls.flat().join("")).toBe(`loading ${folder} (1.0 GiB) …\n`);
});
