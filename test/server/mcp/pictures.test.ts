/** @file Pictures of the tools from files of one folder. */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readFrom } from "../../../src/server/mcp/pictures.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-mcp-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("a name may begin with two dots; what is above the folder is refused", async () => {
  await writeFile(join(folder, "..x.png"), "picture");
  await symlink("..", join(folder, "up"));
  const read = readFrom(folder);
  expect(Buffer.from(await read("..x.png")).toString()).toBe("picture");
  for (const path of ["..", "up", "../none.png", "up/none.png"])
    await expect(read(path), path).rejects.toThrow("expected a picture below");
});

test("a file that is too large is refused unread", async () => {
  const path = join(folder, "large.png");
  await writeFile(path, "");
  await truncate(path, 2 ** 31);
  await expect(readFrom(folder)("large.png")).rejects.toThrow(
    /large\.png: expected at most 33554432 bytes, got /,
  );
});

test.skipIf(process.platform === "win32")("a pipe is refused", async () => {
  execFileSync("mkfifo", [join(folder, "pipe.png")]);
  await expect(readFrom(folder)("pipe.png")).rejects.toThrow("expected a picture below");
});
