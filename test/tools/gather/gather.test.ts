/** @file Gathering sets into a folder, from pictures made here. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CutoutSet, FoundCutout } from "../../../tools/gather/found.ts";
import { gather } from "../../../tools/gather/gather.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-gather-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const set = (name: string, find: () => AsyncGenerator<FoundCutout>): CutoutSet => ({
  ...{ name, title: name, kind: "cutouts", packages: [], find },
});

test("a set that fails for any reason is reported, and the others go on", async () => {
  const bytes = await sharp({ create: { width: 40, height: 40, channels: 4, background: "#c33" } })
    .extend({ top: 4, bottom: 4, left: 4, right: 4, background: "#0000" })
    .png()
    .toBuffer();
  const notes: string[] = [];
  const failed = await gather(
    folder,
    [
      set("no-picture", async function* () {
        yield { name: "a", words: "a", bytes: Buffer.from("no picture") };
      }),
      set("no-json", async function* () {
        yield JSON.parse("{");
      }),
      set("whole", async function* () {
        yield { name: "square", words: "a square", bytes };
      }),
    ],
    { note: (line) => notes.push(line) },
  );
  expect(failed).toEqual(["no-picture", "no-json"]);
  expect(notes).toEqual([
    expect.stringMatching(
      /^no-picture: missing\. packing no-picture: expected pictures that can be packed, got: .*format/,
    ),
    expect.stringMatching(/^no-json: missing\. packing no-json: .*JSON/),
    "whole: 1 pictures",
  ]);
  expect(await readdir(join(folder, "sheets"))).toEqual(["whole.png"]);
});
