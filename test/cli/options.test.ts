/** @file The options that several commands share. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkExtension, checkOutput } from "../../src/cli/options.ts";

test("the refusal of a path names its option", async () => {
  expect(() => checkExtension("x.jpg", [".png"])).toThrow("--output: expected a name that ends in .png");
  expect(() => checkExtension("x.jpg", [".png"], "--sheet")).toThrow("--sheet: expected a name");
  await expect(checkOutput(tmpdir(), [])).rejects.toThrow(`--output ${tmpdir()}: expected a file`);
  const path = join(tmpdir(), "none-of-that-name", "x.png");
  await expect(checkOutput(path, [], "--sheet")).rejects.toThrow(
    `--sheet ${path}: expected a writable folder`,
  );
});
