import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { XPromptError } from "../../../src/errors.ts";
import { Random } from "../../../src/random.ts";
import { asideOf, temporaryFor } from "../../../src/runtime/temporary.ts";
import { roles } from "../../../src/training/optimizer/optimizer.ts";
import { scheduleSchema } from "../../../src/training/optimizer/schedule.ts";
import {
  differencesOf,
  hasCheckpoint,
  loadCheckpoint,
  readRecord,
  saveCheckpoint,
} from "../../../src/training/run/checkpoint.ts";
import { initialize, TrainingState } from "../../../src/training/run/state.ts";

const recipe = {
  kind: "test",
  steps: 100,
  optimizer: { learningRate: 0.001, beta1: 0.9 },
  schedule: scheduleSchema.parse({}),
  families: ["rain", "snow"],
  workers: 1,
  checkpointEvery: 10,
  logEvery: 10,
  evaluateEvery: 50,
  sheetEvery: 50,
};
const shapes = new Map<string, readonly number[]>([
  ["weight", [3, 4]],
  ["bias", [4]],
]);

/** A state in the middle of a run, with different values in every buffer. */
function trained(parameters = shapes): TrainingState {
  const state = new TrainingState(parameters);
  for (const role of roles)
    for (const name of parameters.keys()) {
      const random = Random.of(1, role, name);
      const values = state.values(name, role);
      for (let i = 0; i < values.length; i++) values[i] = random.normal();
    }
  state.step = 40;
  return state;
}
const bits = (values: Float32Array) => [...new Uint32Array(values.buffer, values.byteOffset, values.length)];

let run = "";
beforeEach(async () => {
  run = await mkdtemp(join(tmpdir(), "xprompt-checkpoint-"));
});
afterEach(() => rm(run, { recursive: true }));

const tensors = () => join(run, "checkpoint", "state.safetensors");
const record = () => join(run, "checkpoint", "training.json");
const load = (given: { readonly steps: number } = recipe, state = new TrainingState(shapes)) =>
  loadCheckpoint(run, state, { usage: new Float32Array(3) }, given);
const refusal = async (given?: { readonly steps: number }, state?: TrainingState): Promise<string> => {
  const error = await load(given, state).then(
    () => new Error("loaded"),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(XPromptError);
  const { message } = error as XPromptError;
  expect(message).not.toContain("\n");
  return message;
};

describe("a checkpoint", () => {
  beforeEach(async () => {
    const state = trained();
    state.values("weight").set([-0, Number.MIN_VALUE, 1e-42, 3.4028234663852886e38]);
    const folder = await saveCheckpoint(run, state, { usage: Float32Array.of(1, 2, 3) }, recipe);
    expect(folder).toBe(join(run, "checkpoint"));
  });

  test("restores weights, moments, extras and step bit by bit", async () => {
    const [before, state, usage] = [trained(), new TrainingState(shapes), new Float32Array(3)];
    before.values("weight").set([-0, Number.MIN_VALUE, 1e-42, 3.4028234663852886e38]);
    await loadCheckpoint(run, state, { usage }, recipe);
    for (const role of roles)
      for (const name of shapes.keys())
        expect(bits(state.values(name, role)), `${role} of ${name}`).toEqual(bits(before.values(name, role)));
    expect(state.step).toBe(40);
    expect([...usage]).toEqual([1, 2, 3]);
    expect(state.digest()).toBe(before.digest());
  });

  test("is replaced as a whole", async () => {
    const later = trained();
    later.step = 50;
    later.values("bias").fill(9);
    await saveCheckpoint(run, later, { usage: new Float32Array(3) }, recipe);
    const state = new TrainingState(shapes);
    await load(recipe, state);
    expect([state.step, ...state.values("bias")]).toEqual([50, 9, 9, 9, 9]);
    expect(await readdir(run)).toEqual(["checkpoint"]);
  });

  test("accepts other values of settings that do not change the result", async () => {
    const free = { workers: 8, checkpointEvery: 1, logEvery: 1, evaluateEvery: 7, sheetEvery: 7 };
    await load({ ...recipe, ...free });
  });

  test("is refused for a different recipe, naming every changed key", async () => {
    const { families: _, ...rest } = recipe;
    const other = { ...rest, steps: 200, optimizer: { learningRate: 0.002, beta1: 0.9 }, seed: 3 };
    const message = await refusal(other);
    expect(message).toContain("optimizer.learningRate: 0.001 → 0.002");
    expect(message).toContain("steps: 100 → 200");
    expect(message).toContain("seed: (unset) → 3");
    expect(message).toContain('families: ["rain","snow"] → (unset)');
    expect(message).not.toContain("beta1");
    expect(message).not.toContain("workers");
  });

  describe("of a run whose learning rate falls at its end", () => {
    // 40 of 100 steps are done; the learning rate falls in the second half.
    const schedule = scheduleSchema.parse({ shape: "wsd", decay: 0.5 });
    beforeEach(async () => {
      await saveCheckpoint(run, trained(), { usage: new Float32Array(3) }, { ...recipe, schedule });
    });
    const resume = (steps: number, phases: readonly number[]) => {
      const [state, extras, now] = [
        new TrainingState(shapes),
        { usage: new Float32Array(3) },
        { ...recipe, schedule, steps },
      ];
      return loadCheckpoint(run, state, extras, now, {}, phases);
    };

    test.each([
      ["earlier", 80],
      ["later", 1000],
    ])("may end %s, while its rate has not begun to fall", async (_, steps) => {
      await expect(resume(steps, [0.6, 1])).resolves.toBeUndefined();
    });

    test("cannot end at a step where its rate should have fallen already", async () => {
      await expect(resume(70, [])).rejects.toThrow("steps: 100 → 70");
    });

    // The state at the step where averaging begins, the 40th of 80, is part of the mean.
    test.each([0.4, 0.5])(
      "cannot end at a step where a phase should have begun already: %f",
      async (share) => {
        await expect(resume(80, [share])).rejects.toThrow("steps: 100 → 80");
      },
    );

    test("cannot end later once a phase has begun", async () => {
      await expect(resume(1000, [0.3])).rejects.toThrow("steps: 100 → 1000");
    });

    test("may end later with a phase from its start on, which is step 0 at any length", async () => {
      await expect(resume(1000, [0])).resolves.toBeUndefined();
    });
  });

  test.each([
    ["sets", "data sets and gathered pictures"],
    ["models", "tokenizers and initial weights"],
  ])("is refused when its %s have changed; one without digests is accepted", async (kind, what) => {
    const [state, extras] = [new TrainingState(shapes), { usage: new Float32Array(3) }];
    await saveCheckpoint(run, trained(), extras, recipe, { [kind]: ["one", "two"] });
    await loadCheckpoint(run, state, extras, recipe, { [kind]: ["one", "two"] });
    const changed = loadCheckpoint(run, state, extras, recipe, { [kind]: ["one", "three"] });
    await expect(changed).rejects.toThrow(XPromptError);
    await expect(changed).rejects.toThrow(`expected the ${what} that it was started with`);
    const { [kind]: _, ...older } = JSON.parse(await readFile(record(), "utf8"));
    await writeFile(record(), JSON.stringify(older));
    await loadCheckpoint(run, state, extras, recipe, { [kind]: ["one", "three"] });
  });

  test("may not end before its last step, even at a constant rate", async () => {
    const constant = { ...recipe, schedule: scheduleSchema.parse({ shape: "constant" }) };
    await saveCheckpoint(run, trained(), { usage: new Float32Array(3) }, constant);
    await load({ ...constant, steps: 40 });
    expect(await refusal({ ...constant, steps: 39 })).toContain("steps: 100 → 39");
  });

  test("an older one has the digest of a codebook of patches in its place", async () => {
    const codebook = Float32Array.of(1, 2);
    const frozen = createHash("sha256").update(Buffer.from(codebook.buffer)).digest("hex");
    const older = JSON.parse(await readFile(record(), "utf8"));
    await writeFile(record(), JSON.stringify({ ...older, frozen }));
    const loadWith = (extras: { readonly codebook: Float32Array }) =>
      loadCheckpoint(run, new TrainingState(shapes), { usage: new Float32Array(3), ...extras }, recipe);
    await loadWith({ codebook });
    expect([...codebook]).toEqual([1, 2]);
    await expect(loadWith({ codebook: Float32Array.of(1, 3) })).rejects.toThrow('"extra codebook"');
  });

  test("is refused for another model", async () => {
    const wider = new TrainingState(new Map([...shapes, ["bias", [5]]]));
    expect(await refusal(recipe, wider)).toMatch(/bias: expected shape \[5\], got 4 values/);
    const deeper = new TrainingState(new Map([...shapes, ["more", [2]]]));
    expect(await refusal(recipe, deeper)).toContain("more");
  });

  test("is refused when any bit has changed", async () => {
    const { size } = await stat(tensors());
    for (const at of [0, 9, Math.floor(size / 2), size - 1]) {
      const file = await open(tensors(), "r+");
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, at);
      byte[0]! ^= 1;
      await file.write(byte, 0, 1, at);
      expect(await refusal(), `byte ${at}`).toMatch(/state\.safetensors: expected the recorded checksum/);
      byte[0]! ^= 1;
      await file.write(byte, 0, 1, at);
      await file.close();
    }
    await load();
  });

  test("is refused when it is truncated or lacks a file", async () => {
    const { size } = await stat(tensors());
    await truncate(tensors(), size - 1);
    expect(await refusal()).toContain("damaged");
    await rm(tensors());
    expect(await refusal()).toMatch(/reading checkpoint .*state\.safetensors: .*no such file/);
    await truncate(record(), 20);
    expect(await refusal()).toMatch(/reading checkpoint .*training\.json: expected JSON/);
    await rm(record());
    expect(await refusal()).toMatch(/training\.json/);
  });

  test("is refused when its record was changed", async () => {
    const text = await readFile(record(), "utf8");
    await writeFile(record(), text.replace('"step": 40', '"step": 41'));
    expect(await refusal()).toMatch(/training\.json says step 41, state\.safetensors 40/);
    await writeFile(record(), text.replace('"step": 40', '"step": -1'));
    expect(await refusal()).toMatch(/step/);
    await writeFile(record(), text.replace('"step": 40', '"step": x0'));
    expect(await refusal()).toMatch(/training\.json: expected JSON/);
    await writeFile(record(), text.replace(/"sha256": "./, '"sha256": "x'));
    expect(await refusal()).toContain("damaged");
    await writeFile(record(), text);
    await load();
  });

  test("does not change the state when it is refused before reading", async () => {
    const state = trained();
    await truncate(tensors(), 100);
    await refusal(recipe, state);
    expect([state.step, state.digest()]).toEqual([40, trained().digest()]);
  });
});

test("two checkpoints are of one run if neither their settings nor their inputs differ", async () => {
  const recordOf = async (
    change: object,
    inputs: { readonly sets?: string[]; readonly models?: string[] },
  ) => {
    await saveCheckpoint(run, trained(), {}, { ...recipe, ...change }, inputs);
    return readRecord(run);
  };
  const one = await recordOf({ threads: 1 }, { sets: ["one"], models: ["two"] });
  expect(differencesOf(one, await recordOf({ threads: 2, steps: 200 }, { sets: ["one"] }))).toEqual([]);
  expect(differencesOf(one, await recordOf({ seed: 2 }, { sets: ["three"], models: ["four"] }))).toEqual([
    "seed: (unset) → 2",
    "other data sets and gathered pictures",
    "other tokenizers and initial weights",
  ]);
  expect(differencesOf({ ...one, frozen: "a" }, { ...one, frozen: "b" })).toEqual(["other frozen weights"]);
});

describe("hasCheckpoint", () => {
  test("says whether there is one", async () => {
    expect(await hasCheckpoint(run)).toBe(false);
    expect(await hasCheckpoint(join(run, "nowhere"))).toBe(false);
    await mkdir(join(run, "checkpoint"));
    expect(await hasCheckpoint(run)).toBe(false);
    await saveCheckpoint(run, trained(), {}, recipe);
    expect(await hasCheckpoint(run)).toBe(true);
  });

  test("restores the one that a killed writer had moved aside, and drops the incomplete one", async () => {
    await saveCheckpoint(run, trained(), {}, recipe);
    const { pid } = spawnSync(process.execPath, ["--version"]);
    const checkpoint = join(run, "checkpoint");
    const byKilled = (name: string) => name.replace(`.${process.pid}@`, `.${pid}@`);
    await rename(checkpoint, byKilled(asideOf(checkpoint)));
    await mkdir(byKilled(temporaryFor(checkpoint)));
    expect(existsSync(join(run, "checkpoint"))).toBe(false);
    expect(await hasCheckpoint(run)).toBe(true);
    expect(await readdir(run)).toEqual(["checkpoint"]);
    await loadCheckpoint(run, new TrainingState(shapes), {}, recipe);
  });
});

test("a state with frozen weights is restored with the same ones alone", async () => {
  const frozenBy = (checksum: string) => ({ weights: new Map(), checksum });
  const state = new TrainingState(shapes, frozenBy("a".repeat(64)));
  initialize(
    state,
    () => Random.of(1),
    () => ({ constant: 1 }),
  );
  await saveCheckpoint(run, state, {}, recipe);
  const loaded = new TrainingState(shapes, frozenBy("a".repeat(64)));
  loaded.values("bias", "variance").fill(3);
  await loadCheckpoint(run, loaded, {}, recipe);
  expect([loaded.step, loaded.digest()]).toEqual([0, state.digest()]);
  expect([...loaded.values("bias", "variance")]).toEqual([0, 0, 0, 0]);
  const other = new TrainingState(shapes, frozenBy("b".repeat(64)));
  await expect(loadCheckpoint(run, other, {}, recipe)).rejects.toThrow(
    /expected the model that it was started with \(weights a{16}\), got another \(b{16}\)/,
  );
});
