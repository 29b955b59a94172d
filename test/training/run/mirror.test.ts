/** @file Copies of runs: resumed after the run folder is gone, and whole at every moment. */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { S3Storage } from "../../../src/runtime/storage/s3.ts";
import {
  Mirror,
  prepareTask,
  type RunResult,
  runTraining,
  Tokenization,
  type TransformerRecipe,
} from "../../../src/training/index.ts";
import { lockRun } from "../../../src/training/run/run-lock.ts";
import { writeTinyTokenizers } from "../../fixtures/chameleon/kit.ts";
import { describeS3 } from "../../runtime/storage/s3-server.ts";
import { recipeOf } from "../tokenized/kit.ts";

let folder = "";
let recipe: TransformerRecipe;
const at = (name: string) => join(folder, name);
let whole: RunResult;
const said: string[] = [];

beforeAll(async () => {
  vi.spyOn(process.stderr, "write").mockImplementation((line) => {
    said.push(String(line));
    return true;
  });
  folder = await mkdtemp(join(tmpdir(), "xprompt-mirror-"));
  await writeTinyTokenizers(at("tokenizers"));
  recipe = recipeOf(at("tokenizers"));
  whole = await train(at("whole"));
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

interface Change {
  readonly place?: string;
  readonly resume?: boolean;
  /** The step after which the run is stopped. */
  readonly until?: number;
  readonly given?: TransformerRecipe;
}

/** Trains as the command does. */
async function train(
  out: string,
  { place, resume = false, until, given = recipe }: Change = {},
): Promise<RunResult> {
  await using mirror = place === undefined ? undefined : await Mirror.open(place);
  await (resume ? mirror?.restore(out) : mirror?.checkEmpty());
  const task = await prepareTask(given);
  const stop = new AbortController();
  const step = async (...each: Parameters<typeof task.step>) => {
    const done = await task.step(...each);
    if (task.state.step === until) stop.abort(new Error("stopped"));
    return done;
  };
  try {
    return await runTraining({ ...task, step }, { out, resume, mirror, signal: stop.signal });
  } finally {
    await task.close();
  }
}

const withoutTimes = async (path: string) =>
  (await readFile(path, "utf8"))
    .split("\n")
    .map((line) => line.replace(/"time":[\d.]+|"tokensPerSecond":[\d.]+/g, ""));

/** What a mirror does, wherever it is. */
function behaves(placeOf: (name: string) => string): void {
  test("a run goes on from it after its folder is gone, and ends with the same weights and metrics", async () => {
    const [out, place] = [at("run"), placeOf("resumed")];
    await expect(train(out, { place, until: 4 })).rejects.toThrow("stopped");
    await rm(out, { recursive: true });
    const resumed = await train(out, { place, resume: true });
    expect(resumed.digest).toBe(whole.digest);
    expect(await withoutTimes(join(out, "metrics.jsonl"))).toEqual(
      await withoutTimes(at("whole/metrics.jsonl")),
    );

    // The model is there, too, and the run itself: another does not take its place.
    await rm(out, { recursive: true });
    await expect(train(out, { place })).rejects.toThrow(
      `mirroring to ${place}: it holds a run already (add --resume`,
    );
    expect(existsSync(out)).toBe(false);
    expect((await train(out, { place, resume: true })).digest).toBe(whole.digest);
    await rm(out, { recursive: true });
  });

  test("the later of two checkpoints counts", async () => {
    const [out, place] = [at("later"), placeOf("later")];
    await expect(train(out, { place, until: 2 })).rejects.toThrow("stopped");
    await expect(train(out, { resume: true, until: 4 })).rejects.toThrow("stopped");
    const step = async () => JSON.parse(await readFile(join(out, "checkpoint/training.json"), "utf8")).step;
    await using mirror = await Mirror.open(place);
    await mirror.restore(out);
    expect(await step()).toBe(4);
    await mirror.save(out);
    await rm(out, { recursive: true });
    await mirror.restore(out);
    expect(await step()).toBe(4);
    await rm(out, { recursive: true });
  });

  test("the copy of another run replaces nothing, nor any copy a run that is going on", async () => {
    const [out, place] = [at("mine"), placeOf("other")];
    const other = { ...recipe, seed: 2 };
    await expect(train(at("other"), { place, given: other, until: 4 })).rejects.toThrow("stopped");
    await expect(train(out, { until: 2 })).rejects.toThrow("stopped");
    const files = () =>
      Promise.all(["metrics.jsonl", "checkpoint/training.json"].map((n) => readFile(join(out, n))));
    const before = await files();
    await using mirror = await Mirror.open(place);
    await expect(mirror.restore(out)).rejects.toThrow(
      `resuming ${out}: expected a copy of this run in ${place}, got one of another: seed: 1 → 2 (choose`,
    );
    const release = await lockRun(out);
    await expect(mirror.restore(out)).rejects.toMatchObject({ code: "ERR_LOCKED" });
    await release();
    expect(await files()).toEqual(before);
    for (const run of [out, at("other")]) await rm(run, { recursive: true });
  });
}

describe("a mirror in a folder", () => behaves((name) => at(`mirror-${name}`)));

describeS3("a mirror on object storage", (server) => {
  behaves((name) => `s3://bucket/${name}`);

  test("an upload that is cut off leaves the earlier checkpoint; the next one is copied", async () => {
    const [out, place] = [at("cut"), "s3://bucket/cut"];
    const upload = S3Storage.prototype.upload;
    let uploads = 0;
    const cut = vi.spyOn(S3Storage.prototype, "upload").mockImplementation(function (
      this: S3Storage,
      name,
      path,
    ) {
      // The second of the three checkpoints, at step 6.
      if (name.endsWith(".safetensors") && ++uploads === 2)
        return Promise.reject(new Error("connection lost"));
      return upload.call(this, name, path);
    });
    await expect(train(out, { place, until: 6 })).rejects.toThrow("stopped");
    cut.mockRestore();
    expect(said.join("")).toContain("could not copy the checkpoint, the next one will be: connection lost\n");
    const keys = (await server.keys("bucket")).filter((key) => key.startsWith("cut/checkpoint/"));
    expect(keys).toEqual([
      expect.stringMatching(/^cut\/checkpoint\/[0-9a-f]{64}\.safetensors$/),
      "cut/checkpoint/training.json",
    ]);
    await rm(out, { recursive: true });
    await using mirror = await Mirror.open(place);
    await mirror.restore(out);
    expect(JSON.parse(await readFile(join(out, "checkpoint/training.json"), "utf8")).step).toBe(3);
    expect((await train(out, { place, resume: true })).digest).toBe(whole.digest);
    const after = (await server.keys("bucket")).filter((key) => key.startsWith("cut/"));
    expect(after.filter((key) => key.endsWith(".safetensors"))).toHaveLength(2); // the last checkpoint, and the model
    expect(
      (await readdir(join(out, "model")))
        .map((name) => `cut/model/${name}`)
        .every((key) => after.includes(key)),
    ).toBe(true);
  });

  test("a run that cannot write there does not begin", async () => {
    await expect(train(at("nowhere"), { place: "s3://nowhere/run" })).rejects.toThrow(
      "reading s3://nowhere/run/checkpoint/training.json: expected the bucket nowhere",
    );
  });

  test("shards of tokens are written there and read from there", async () => {
    const destination = "s3://bucket/tokens";
    await using work = await Tokenization.open({ recipe, destination, shards: 2 });
    for (const index of await work.missing()) await work.shard(index);
    expect((await work.finish())?.shards).toHaveLength(2);
    expect(await work.missing()).toEqual([]);
    const read = await train(at("streamed"), {
      given: { ...recipe, workers: 1, data: { tokenized: destination } },
    });
    expect([read.digest, read.heldOut]).toEqual([whole.digest, whole.heldOut]);
  });
});

test("object storage is no run folder", async () => {
  await expect(train("s3://bucket/run")).rejects.toThrow(
    "training into s3://bucket/run: expected a folder, got object storage (choose a folder for --out, and add --mirror s3://bucket/run)",
  );
});
