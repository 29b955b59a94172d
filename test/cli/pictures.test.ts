import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { isNumberedPath, numberedPaths } from "../../src/cli/numbered-paths.ts";
import { writePictures } from "../../src/cli/pictures.ts";
import { createImage } from "../../src/image/index.ts";

const folder = await mkdtemp(join(tmpdir(), "pictures-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

test("when one picture cannot be written, the former ones are all there still", async () => {
  const names = ["s-1.png", "s-2.png", "s-3.png"];
  for (const name of names) await writeFile(join(folder, name), `former ${name}`);
  const pictures = names.map((name, i) => ({
    path: join(folder, name),
    image: i === 2 ? { ...createImage(8, 8), data: new Float32Array(5) } : createImage(8, 8),
    about: {},
  }));
  await expect(writePictures(pictures, new AbortController().signal)).rejects.toThrow();
  for (const name of names) expect(await readFile(join(folder, name), "utf8")).toBe(`former ${name}`);
  expect((await readdir(folder)).sort()).toEqual(names);
});

test("several pictures of an output are numbered", () => {
  expect(numberedPaths("a.b/out.png", 1)).toEqual(["a.b/out.png"]);
  expect(numberedPaths("a.b/out.PNG", 2)).toEqual(["a.b/out-1.PNG", "a.b/out-2.PNG"]);
  for (const path of ["out-1.png", "./out-12.PNG", join(process.cwd(), "out-3.png")])
    expect(isNumberedPath(path, "out.png"), path).toBe(true);
  for (const path of ["out.png", "out-0.png", "out-01.png", "out-1.jpg", "a/out-1.png", "other-1.png"])
    expect(isNumberedPath(path, "out.png"), path).toBe(false);
});
