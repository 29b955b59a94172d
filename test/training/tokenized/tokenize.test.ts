/** @file Tokenized contexts against those that training draws, and what is refused. */
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { loadTokenizers, readWeights } from "../../../src/chameleon/checkpoint/folder.ts";
import { isOfImages } from "../../../src/chameleon/tokenizers/image-tokenizer.ts";
import { huggingFacePreprocessing } from "../../../src/image/preprocess.ts";
import { FolderStorage } from "../../../src/runtime/storage/folder.ts";
import {
  prepareTask,
  runTraining,
  Tokenization,
  type TransformerRecipe,
  tokenizeShard,
} from "../../../src/training/index.ts";
import { digestOf, tokenizersDigest } from "../../../src/training/tokenized/manifest.ts";
import { writeTinyTokenizers } from "../../fixtures/chameleon/kit.ts";
import { writePackFiles } from "../../tasks/gathered/folder.ts";
import { batchesOf, recipeOf, writePairs } from "./kit.ts";

let folder = "";
let tokenizers = "";
const at = (...parts: string[]) => join(folder, ...parts);
const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/datasets/${name}`, import.meta.url));

beforeAll(async () => {
  vi.spyOn(process.stderr, "write").mockReturnValue(true); // The progress lines.
  folder = await mkdtemp(join(tmpdir(), "xprompt-tokenized-"));
  tokenizers = at("tokenizers");
  await writeTinyTokenizers(tokenizers);
  await mkdir(at("gathered"));
  const photos = Uint8Array.from({ length: 2 * 3 * 40 * 40 }, (_, i) => (i * 37) % 251);
  await writePackFiles(at("gathered"), "photos-noise", photos, {
    kind: "photos",
    items: [
      { name: "a/one", words: "a red hill", split: "train", width: 40, height: 40, offset: 0 },
      { name: "b/two", words: "a river", split: "heldOut", width: 40, height: 40, offset: 3 * 40 * 40 },
    ],
  });
  await mkdir(at("pairs"));
  await writePairs(at("pairs"), 12);
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

let places = 0;
/** Tokenizes all of a recipe in a fresh place. */
async function tokenized(recipe: TransformerRecipe, shards = 3) {
  const place = at(`tokens-${places++}`);
  await using work = await Tokenization.open({ recipe, destination: place, shards });
  for (const index of await work.missing()) await work.shard(index);
  return { place, digest: digestOf((await work.finish())!) };
}
const steps = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);
const withData = (recipe: TransformerRecipe, place: string) => ({ ...recipe, data: { tokenized: place } });

describe("training sees the batches that it would draw, token for token", () => {
  test.each<[string, () => Parameters<typeof recipeOf>[1]]>([
    ["scenes with all kinds of contexts", () => ({})],
    ["gathered pictures", () => ({ mix: { pictures: at("gathered"), worlds: { scenes: 1, photos: 2 } } })],
    [
      "a folder of pairs",
      () => ({ mix: { pairs: [at("pairs")], pairsShare: 1, pairsHeldOut: 0.2, describe: 0.2 } }),
    ],
    [
      "WebDataset shards",
      () => ({
        mix: { pairs: [fixture("pairs.tar")], pairsShare: 0.7, pairsHeldOut: 0, pairsReversed: 0.5 },
      }),
    ],
    [
      "Parquet shards",
      () => ({
        mix: { pairs: [fixture("magicbrush.parquet")], pairsShare: 1, pairsHeldOut: 0, tokenNoise: 0.2 },
      }),
    ],
  ])("%s", async (_name, change) => {
    const recipe = recipeOf(tokenizers, change());
    const drawn = await batchesOf(recipe, steps(8));
    const read = await batchesOf(recipe, steps(8), await tokenized(recipe));
    const bare = (batches: typeof drawn) => batches.map(({ skipped: _, ...batch }) => batch);
    expect(bare(read)).toEqual(bare(drawn));
    expect(new Set(drawn.map(({ kind }) => kind)).size).toBeGreaterThan(1);
  });
});

test("processes that share each batch read the parts that they would sample", async () => {
  const recipe = recipeOf(tokenizers, { mix: { describe: 0 } });
  const data = await tokenized(recipe);
  for (const rank of [0, 1]) {
    const share = { rank, size: 2 };
    const [sampled, read] = [
      await batchesOf(recipe, steps(4), undefined, share),
      await batchesOf(recipe, steps(4), data, share),
    ];
    expect(read).toEqual(sampled);
    expect(read.every(({ packing }) => packing.contexts === 1)).toBe(true);
  }
});

test("storage is closed when it has been read", async () => {
  const recipe = recipeOf(tokenizers);
  const data = await tokenized(recipe);
  const closed = vi.spyOn(FolderStorage.prototype, Symbol.asyncDispose);
  await batchesOf(recipe, [0], data);
  expect(closed).toHaveBeenCalledTimes(2); // the manifest, and a shard
  closed.mockClear();
  await (await prepareTask(withData(recipe, data.place))).close();
  expect(closed).toHaveBeenCalledTimes(2); // the manifest, and the held-out contexts
  closed.mockRestore();
});

test("later epochs, and those of other seeds, have every batch once, in an order of the seed's", async () => {
  const recipe = recipeOf(tokenizers, { mix: { tokenDropout: 0 } });
  const data = await tokenized(recipe);
  const keys = async (seed: number, from: number) =>
    (await batchesOf({ ...recipe, seed }, steps(8, from), data)).map(({ targets }) => targets.join());
  const first = await keys(1, 0);
  const [second, third, other] = [await keys(1, 8), await keys(1, 16), await keys(2, 0)];
  for (const order of [second, third, other]) {
    expect(order).not.toEqual(first);
    expect(order.toSorted()).toEqual(first.toSorted());
  }
  expect(third).not.toEqual(second);
  expect(await keys(1, 8)).toEqual(second);
});

test("a run on tokens ends with the weights and the figures of one that draws, and resumes exactly", async () => {
  const recipe = recipeOf(tokenizers, { mix: { pairs: [at("pairs")], pairsShare: 0.5, pairsHeldOut: 0.3 } });
  const { place } = await tokenized(recipe);
  const train = async (given: TransformerRecipe, out: string, signal?: AbortSignal) => {
    const task = await prepareTask(given);
    return runTraining(task, {
      out: at(out),
      resume: signal === undefined && out === "resumed",
      signal,
    }).finally(() => task.close());
  };
  const drawn = await train(recipe, "drawn");
  // The pictures are not needed any more.
  const elsewhere = withData({ ...recipe, mix: { ...recipe.mix, pairs: [] } }, place);
  const read = await train(elsewhere, "read");
  expect(read.digest).toBe(drawn.digest);
  expect(read.heldOut).toEqual(drawn.heldOut);
  expect(Object.keys(drawn.heldOut.after)).toContain("pairs.wrong");

  const stop = new AbortController();
  const task = await prepareTask(elsewhere);
  const step = task.step.bind(task);
  const interrupted = {
    ...task,
    step: async (...given: Parameters<typeof step>) => {
      const done = await step(...given);
      if (task.state.step === 4) stop.abort(new Error("stopped"));
      return done;
    },
  };
  const stopped = runTraining(interrupted, { out: at("resumed"), signal: stop.signal });
  await expect(stopped).rejects.toThrow("stopped");
  await task.close();
  expect((await train(elsewhere, "resumed")).digest).toBe(drawn.digest);
});

test("machines share the shards; the one with the last shard writes the manifest, which is the same in any order", async () => {
  const recipe = recipeOf(tokenizers);
  const whole = await tokenized(recipe);
  const destination = at("shared");
  for (const index of [2, 0, 2])
    expect(await tokenizeShard(index, { recipe, destination, shards: 3 })).toBeUndefined();
  await expect(prepareTask(withData(recipe, destination))).rejects.toThrow(
    `reading tokenized data ${destination}: expected manifest.json, found none`,
  );
  const manifest = await tokenizeShard(1, { recipe, destination, shards: 3 });
  expect(digestOf(manifest!)).toBe(whole.digest);
  expect(manifest!.shards.map(({ batches, contexts }) => [batches, contexts])).toMatchObject([
    [2, expect.any(Number)],
    [3, expect.any(Number)],
    [3, expect.any(Number)],
  ]);
  for (const name of await readdir(whole.place))
    expect(await readFile(join(destination, name)), name).toEqual(await readFile(join(whole.place, name)));
  await expect(tokenizeShard(3, { recipe, destination, shards: 3 })).rejects.toThrow(
    "expected a shard from 0 to 2, got 3",
  );
});

test("a shard is ordinary Parquet: token ids, and the group of each", async () => {
  const { place } = await tokenized(recipeOf(tokenizers), 1);
  const file = await asyncBufferFromFile(join(place, "shard-00001-of-00001.parquet"));
  const rows = await parquetReadObjects({ file });
  expect(rows.length).toBeGreaterThanOrEqual(8 * 2);
  for (const { tokens, groups, lengths } of rows) {
    expect(groups).toHaveLength(tokens.length);
    expect((lengths as number[]).reduce((sum, length) => sum + length, 0)).toBe(tokens.length);
    // Three XP tokens end each example; a TODO part begins after them.
    const text = (groups as number[]).join("");
    expect(text).toMatch(/^(0+111)+(2+3+)+$/);
  }
});

test("the digest of tokenizers counts how pictures are prepared and encoded, not how they are decoded", async () => {
  const { image, text } = await loadTokenizers(tokenizers, { threads: 1 });
  await image.release();
  const weights = await readWeights(tokenizers, undefined, isOfImages);
  const without = (part: string) => new Map([...weights].filter(([name]) => !name.includes(part)));
  const digest = tokenizersDigest(weights, { text });
  expect(tokenizersDigest(without(".decoder."), { text })).toBe(digest);
  expect(tokenizersDigest(without(".encoder."), { text })).not.toBe(digest);
  expect(tokenizersDigest(weights, { text, preprocessing: huggingFacePreprocessing })).not.toBe(digest);
});

describe("refused", () => {
  const message = async (work: Promise<unknown>) =>
    work.then(
      () => "nothing was refused",
      (error: Error) => error.message,
    );

  test("other tokenizers, other settings", async () => {
    const recipe = recipeOf(tokenizers);
    const { place } = await tokenized(recipe);
    const others = at("others");
    await writeTinyTokenizers(others);
    const path = join(others, "model.safetensors");
    const weights = await readFile(path);
    weights[weights.length - 2]! ^= 0xff; // the last weight
    await writeFile(path, weights);
    const config = JSON.parse(await readFile(join(others, "config.json"), "utf8"));
    await writeFile(join(others, "config.json"), JSON.stringify({ ...config, weights_sha256: undefined }));
    expect(await message(prepareTask(withData({ ...recipe, tokenizers: others }, place)))).toMatch(
      /^training on tokenized data .*: expected the tokenizers that it was made with \([0-9a-f]{16}\), got others in .*tokenize the data again\)$/,
    );
    const changed = { ...recipe, todos: 3, mix: { ...recipe.mix, describe: 0.5 } };
    expect(await message(prepareTask(withData(changed, place)))).toContain(
      "got others: mix.describe: 0.25 → 0.5; todos: 2 → 3 (use the same settings",
    );
    // What is added in training may differ.
    const noisy = { ...recipe, mix: { ...recipe.mix, tokenDropout: 0, tokenNoise: 0.1 } };
    const task = await prepareTask(withData(noisy, place));
    await task.close();
  });

  test("shards of another plan, damaged ones, and more shards than batches", async () => {
    const recipe = recipeOf(tokenizers);
    const { place, digest } = await tokenized(recipe);
    const into = (given: TransformerRecipe, shards: number) =>
      message(tokenizeShard(0, { recipe: given, destination: place, shards }));
    expect(await into({ ...recipe, seed: 2 }, 3)).toContain("got shard-00001-of-00003.json of others");
    expect(await into(recipe, 2)).toContain("got shard-00001-of-00003.json of others");
    expect(await into(recipe, 9)).toContain("expected at most one shard per batch, got 9 for 8");
    await copyFile(join(place, "held-out.parquet"), join(place, "shard-00002-of-00003.parquet"));
    expect(await message(batchesOf(recipe, steps(8), { place, digest }))).toContain(
      "shard-00002-of-00003.parquet: its checksum is not the recorded one",
    );
    expect(await message(batchesOf(recipe, [0], { place, digest: "0".repeat(64) }))).toContain(
      "got other data",
    );
    await rm(join(place, "shard-00001-of-00003.parquet"));
    expect(await message(batchesOf(recipe, [0], { place, digest }))).toContain("expected it, found none");
    const path = join(place, "manifest.json");
    const manifest = JSON.parse(await readFile(path, "utf8"));
    const changed = async (change: object) => {
      await writeFile(path, JSON.stringify({ ...manifest, ...change }));
      return message(prepareTask(withData(recipe, place)));
    };
    const [first, ...others] = manifest.shards;
    expect(await changed({ shards: others })).toContain("expected 3 shards as planned, got 2");
    const batches = first.batches + 1;
    expect(await changed({ shards: [{ ...first, batches }, ...others] })).toContain(
      `expected ${first.batches} as planned, got ${batches}`,
    );
    await writeFile(path, "{");
    expect(await message(prepareTask(withData(recipe, place)))).toContain(
      "manifest.json: expected JSON, got: ",
    );
  });
});
