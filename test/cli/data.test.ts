import { readdir, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { workplace } from "./kit.ts";

const { at, xprompt, json, succeed, refused } = await workplace();

const recipe = {
  ...{ kind: "transformer", steps: 4, contexts: 2, todos: 2, heldOutBatches: 1, threads: 1, workers: 0 },
  ...{
    tokenizers: "tiny",
    model: { layers: 1, hiddenSize: 32, intermediateSize: 32, heads: 2 },
    xprompt: { tokens: 3 },
  },
  mix: { families: ["invert", "rain"], heldOut: [] },
};
await writeFile(at("recipe.mjs"), `export default ${JSON.stringify(recipe)};\n`);

test("two machines tokenize, a run trains on it; its mirror goes on without the run folder", async () => {
  const tokenize = ["data", "tokenize", "recipe.mjs", "--out", "tokens", "--shards", "3"];
  const first = await json(...tokenize, "--shard", "1/2");
  expect(first).toMatchObject({ batches: 4, shards: 3, made: 2, complete: false, seed: 1, skipped: 0 });
  const { stderr } = await succeed(...tokenize, "--shard=2/2");
  expect(stderr).toMatch(/^tokenizing: 1\/1 batches \(100%\), [\d.]+ batches\/s/m);
  expect(stderr).toMatch(
    /tokenized 4 batches \(\d+ contexts, \d+ tokens\) into tokens: train with --data.tokenized=tokens\n$/,
  );
  expect(await json(...tokenize)).toMatchObject({ made: 0, complete: true });
  expect(await readdir(at("tokens"))).toHaveLength(2 * 3 + 2 + 1);

  const train = ["train", "recipe.mjs", "--data.tokenized=tokens", "--mirror", "copy"];
  const trained = await json(...train, "--out", "run");
  const again = await json(...train, "--out", "other", "--resume");
  expect(again).toMatchObject({ steps: 4, digest: trained.digest });
});

test("a mirror in the run folder is refused, also by another name of it", async () => {
  for (const mirror of ["same", "tokens/../same"])
    await refused(
      () => xprompt("train", "recipe.mjs", "--out", "same", "--mirror", mirror),
      2,
      "--mirror: expected another place than the run folder same, got the same",
    );
});

test.each<[string, string[], 1 | 2, string]>([
  ["no place", ["recipe.mjs"], 2, "required option '--out <place>' not specified"],
  [
    "a share that is none",
    ["recipe.mjs", "--out", "x", "--shard", "3/2"],
    2,
    '--shard: expected this machine of how many, from 1/8 to 8/8, got "3/2"',
  ],
  [
    "no batches",
    ["recipe.mjs", "--out", "x", "--batches", "0"],
    2,
    '--batches: expected a whole number from 1, got "0"',
  ],
  [
    "too many shards",
    ["recipe.mjs", "--out", "x", "--shards", "5"],
    2,
    "expected at most one shard per batch, got 5 for 4",
  ],
  [
    "a recipe of another kind",
    ["nano-tokenizer", "--out", "x"],
    2,
    "expected the recipe of a transformer, got one of kind tokenizer",
  ],
  [
    "a broken URL",
    ["recipe.mjs", "--out", "s3:/x"],
    2,
    "expected object storage as s3://bucket/prefix, got s3:/x",
  ],
])("refused: %s", async (_name, args, status, says) => {
  await refused(() => xprompt("data", "tokenize", ...args), status, says);
});
