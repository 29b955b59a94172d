import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { UsageError, XPromptError } from "../../src/errors.ts";
import { recipeKinds } from "../../src/training/index.ts";
import { applyOverrides } from "../../src/training/overrides.ts";
import { describeDifference, loadRecipe, recipeDigest, recipeKind } from "../../src/training/recipe.ts";
import { tokenizerRecipe as tokenizer } from "../../src/training/tokenizer/recipe.ts";
import { transformerRecipe as nanoLike } from "../../src/training/transformer/recipe.ts";

const tokenizerRecipe = recipeKind(
  "tokenizer",
  z.strictObject({ steps: z.int().min(1), codes: z.literal([256, 512]).default(256) }),
);

const transformerRecipe = recipeKind(
  "transformer",
  z.strictObject({
    steps: z.int().min(1),
    device: z.enum(["cpu", "webgpu"]).default("cpu"),
    compile: z.boolean().default(true),
    note: z.string().default(""),
    devices: z.array(z.enum(["cpu", "cuda"])).optional(),
    weather: z.array(z.enum(["rain", "fog", ...Array.from({ length: 98 }, (_, i) => `day${i}`)])).optional(),
    optimizer: z
      .strictObject({
        learningRate: z.number().positive().default(1e-3),
        betas: z.tuple([z.number(), z.number()]).default([0.9, 0.95]),
        clip: z.number().nullable().default(1),
      })
      .prefault({}),
    schedule: z
      .discriminatedUnion("shape", [
        z.strictObject({ shape: z.literal("constant") }),
        z.strictObject({ shape: z.literal("cosine"), floor: z.number().min(0).max(1).default(0) }),
      ])
      .default({ shape: "constant" }),
    data: z.strictObject({
      families: z.array(z.string()).min(1),
      sizes: z.array(z.int()).default([]),
      weights: z.record(z.string(), z.number().min(0)).optional(),
    }),
  }),
);

const kinds = [tokenizerRecipe, transformerRecipe];
const recipe = transformerRecipe({ steps: 100, data: { families: ["rain"] } });
const override = (...args: string[]) => applyOverrides(recipe, args, kinds);

/** The message that `run` throws, which must be of class `kind`. */
function complaint(run: () => unknown, kind: new (message: string) => Error = UsageError): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(kind);
    return (error as Error).message;
  }
  throw new Error("expected an error, got none");
}

describe("recipeKind", () => {
  test("fills in defaults and tags the recipe", () => {
    expect(recipe).toMatchObject({
      kind: "transformer",
      steps: 100,
      device: "cpu",
      schedule: { shape: "constant" },
    });
    expect(recipe.optimizer).toEqual({ learningRate: 1e-3, betas: [0.9, 0.95], clip: 1 });
    expectTypeOf(recipe.kind).toEqualTypeOf<"transformer">();
    expectTypeOf(recipe.optimizer.learningRate).toEqualTypeOf<number>();
  });

  test("makes a recipe from another one of the same kind only", () => {
    const first = transformerRecipe({ steps: 3, optimizer: {}, data: { families: ["rain"] } } as never);
    expect(transformerRecipe({ ...first, steps: 4 })).toEqual({ ...first, steps: 4 });
    const other = { ...first, kind: "tokenizer" };
    expect(complaint(() => transformerRecipe(other as never), XPromptError)).toContain(
      "kind: no such setting",
    );
  });

  test("names the key of a wrong setting, the expected and the given value", () => {
    const wrong = { steps: 0.5, optimizer: { learningRate: "fast" }, data: { families: [3] } };
    const message = complaint(() => transformerRecipe(wrong as never), XPromptError);
    expect(message).toContain("steps: expected a whole number from 1, got 0.5");
    expect(message).toContain('optimizer.learningRate: expected a number above 0, got "fast"');
    expect(message).toContain("data.families.0: expected text, got 3");
  });

  test("names a setting that is missing or misspelt", () => {
    const message = complaint(
      () => transformerRecipe({ steps: 1, optimiser: {}, data: {} } as never),
      XPromptError,
    );
    expect(message).toContain("data.families: expected values separated by commas, at least 1, got nothing");
    expect(message).toContain("optimiser: no such setting");
  });

  test("refuses a schema that would let a misspelt setting pass", () => {
    const loose = z.strictObject({ optimizer: z.object({ rate: z.number() }).optional() });
    expect(complaint(() => recipeKind("loose", loose), TypeError)).toContain("schema of optimizer");
  });
});

describe("applyOverrides", () => {
  test("reads numbers, booleans, text, enums, lists and nested keys, in both forms", () => {
    const changed = override(
      "--steps=40",
      "--optimizer.learningRate=3e-4",
      "--data.families=rain,blur",
      "--device",
      "webgpu",
      "--compile=false",
      "--note=a=b, c",
      "--optimizer.betas=0.8,0.99",
      "--data.sizes=",
    );
    expect(changed).toEqual({
      ...recipe,
      steps: 40,
      device: "webgpu",
      compile: false,
      note: "a=b, c",
      optimizer: { learningRate: 3e-4, betas: [0.8, 0.99], clip: 1 },
      data: { families: ["rain", "blur"], sizes: [] },
    });
    expect(recipe.steps).toBe(100);
    expect(recipe.optimizer.learningRate).toBe(1e-3);
  });

  test("reads null, unions, literals and a record's free keys", () => {
    expect(override("--optimizer.clip=null").optimizer.clip).toBeNull();
    expect(override("--optimizer.clip=2").optimizer.clip).toBe(2);
    expect(override("--schedule.shape=cosine", "--schedule.floor=0.1").schedule).toEqual({
      shape: "cosine",
      floor: 0.1,
    });
    expect(override("--data.weights.rain=0.5").data.weights).toEqual({ rain: 0.5 });
    expect(applyOverrides(tokenizerRecipe({ steps: 1 }), ["--codes=512"], kinds).codes).toBe(512);
  });

  test("an unknown key: suggests the nearest, or lists the keys of its group", () => {
    const message = complaint(() => override("--optimizer.learnigRate=1"));
    expect(message).toBe("--optimizer.learnigRate: no such setting (did you mean optimizer.learningRate?)");
    expect(complaint(() => override("--optimizer.lr=1"))).toContain("did you mean optimizer.learningRate?");
    const ofGroup = complaint(() => override("--optimizer.zz=1"));
    expect(ofGroup).toContain("(there are: optimizer.learningRate, ");
    expect(ofGroup).not.toContain("data.");
    expect(complaint(() => override("--zzzzzzzzzz=1"))).toContain("data.…");
    expect(complaint(() => override("--learning-rate=1"))).toContain("did you mean optimizer.learningRate?");
    expect(complaint(() => override("--zzzzzzzzzz=1"))).not.toContain("did you mean");
    expect(complaint(() => override("--kind=tokenizer"))).toContain("no such setting");
    expect(complaint(() => override("--__proto__.x=1"))).toContain("no such setting");
  });

  const wrong: [string[], string][] = [
    [["--steps=many"], '--steps: expected a whole number from 1, got "many"'],
    [["--steps="], '--steps: expected a whole number from 1, got ""'],
    [["--steps=0"], "--steps: expected a whole number from 1, got 0"],
    [["--steps=1.5"], "--steps: expected a whole number from 1, got 1.5"],
    [
      ["--schedule.shape=cosine", "--schedule.floor=2"],
      "--schedule.floor: expected a number from 0 to 1, got 2",
    ],
    [["--schedule.floor=0.5"], "--schedule.floor: does not go with the settings beside it"],
    [["--schedule.shape=sine"], '--schedule.shape: expected "constant" or "cosine", got "sine"'],
    [["--device=tpu"], '--device: expected one of cpu, webgpu, got "tpu"'],
    [["--compile=1"], '--compile: expected true or false, got "1"'],
    [["--data.sizes=1,x"], '--data.sizes.1: expected a whole number, got "x"'],
    [["--data.sizes=9007199254740992"], "to 2^53 - 1, got 9007199254740992"],
    [["--devices=cpu,cudo"], '--devices.1: expected one of cpu, cuda, got "cudo" (did you mean "cuda"?)'],
    [["--weather=rain,fgo"], '--weather.1: expected a known name, got "fgo" (did you mean "fog"?)'],
    [["--optimizer.betas=1,2,3"], '--optimizer.betas: expected 2 values separated by commas, got "1,2,3"'],
    [["--data.families="], "--data.families: expected values separated by commas, at least 1, got []"],
    [["--optimizer.betas=1"], "--optimizer.betas: expected 2 values separated by commas, got [1]"],
    [
      ["--optimizer=adamw"],
      "--optimizer: expected one of its settings (optimizer.learningRate, optimizer.betas",
    ],
    [["--steps=1", "--steps", "2"], "--steps: expected it once, got it twice"],
    [["--steps"], "--steps: expected a value (--steps=…), got none"],
    [["--steps", "--compile=true"], "--steps: expected a value"],
    [["--stpes", "--compile=true"], "--stpes: no such setting (did you mean steps?)"],
    [["steps=3"], 'expected --key=value, got "steps=3"'],
  ];
  test.each(wrong)("%j is a usage error", (args, message) => {
    expect(complaint(() => override(...args))).toContain(message);
  });

  test("a group takes the place of a plain value", () => {
    const sampling = { temperature: 1, guidance: 2 };
    const of = nanoLike({ steps: 1, xprompt: { sampling } } as never);
    const changed = applyOverrides(of, ["--xprompt.sampling.guidance.image=3"], recipeKinds);
    expect(changed.xprompt.sampling?.guidance).toEqual({ image: 3 });
  });

  test("a misspelt option of the command is recognized, and one with a value refused", () => {
    const options = ["--json", "--resume"];
    const complaintAbout = (arg: string) => complaint(() => applyOverrides(recipe, [arg], kinds, options));
    expect(complaintAbout("--jsn")).toBe("--jsn: no such setting (did you mean json?)");
    expect(complaintAbout("--json=1")).toBe("--json: expected no value, got 1");
  });
});

describe("settings of every run", () => {
  const base = tokenizer({ steps: 3, optimizer: {}, schedule: {}, loss: {} });
  const complaintAbout = (...args: string[]) => complaint(() => applyOverrides(base, args, [tokenizer]));

  test("threads are bounded", () => {
    expect(complaintAbout("--threads=100000")).toContain("a whole number from 0 to 1024, got 100000");
    expect(complaintAbout("--workers=100000")).toContain("a whole number from 0 to 64, got 100000");
  });

  test("a seed beyond the safe integers is refused with the largest one", () => {
    const says = "--seed: expected a whole number from 0 to 2^53 - 1, got 9007199254740992";
    expect(complaintAbout("--seed=9007199254740992")).toBe(says);
    expect(complaintAbout("--seed=-1")).toBe("--seed: expected a whole number from 0, got -1");
  });
});

describe("loadRecipe", () => {
  let folder: string;
  const write = async (name: string, text: string) => {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    return path;
  };
  const failure = async (path: string) => {
    const error = await loadRecipe(path, kinds).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(XPromptError);
    return (error as Error).message;
  };

  // In a clone, the recipe's import by name resolves to the exports of package.json.
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "xprompt-recipe-"));
    const exports = { "./training": "./dist/training.js" };
    await write("package.json", JSON.stringify({ name: "x-prompt", type: "module", exports }));
    await write(
      "dist/training.js",
      "export const transformerRecipe = (v) => ({ kind: 'transformer', ...v });",
    );
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("runs TypeScript that imports the package by its own name", async () => {
    const path = await write(
      "recipes/nano.ts",
      `import { transformerRecipe } from "x-prompt/training";
       import { families } from "./families.ts";
       enum Size { nano = 7 }
       export default transformerRecipe({ steps: Size.nano as number, data: { families } });`,
    );
    await write("recipes/families.ts", "export const families: string[] = ['rain', 'blur'];");
    const loaded = await loadRecipe(path, kinds);
    expect(loaded).toEqual(transformerRecipe({ steps: 7, data: { families: ["rain", "blur"] } }));
  });

  test("accepts a bare object, JavaScript, and a CommonJS folder", async () => {
    const bare = 'export default { kind: "tokenizer", steps: 3 };';
    const expected = { kind: "tokenizer", steps: 3, codes: 256 };
    expect(await loadRecipe(await write("bare.mjs", bare), kinds)).toEqual(expected);
    expect(await loadRecipe(await write("bare.js", bare), kinds)).toEqual(expected);
    await write("common/package.json", "{}");
    expect(await loadRecipe(await write("common/bare.ts", bare), kinds)).toEqual(expected);
  });

  test("finds a shipped recipe by name", async () => {
    const ownPairs = await loadRecipe("own-pairs", recipeKinds);
    // Its users have pairs, and no gathered pictures.
    const mix = { pictures: undefined, worlds: { scenes: 1, photos: 0, icons: 0 } };
    expect(ownPairs).toMatchObject({ kind: "transformer", init: "nano", mix });
    await expect(loadRecipe("own-pears", recipeKinds)).rejects.toThrow(
      /^loading the recipe own-pears: expected a path with its extension, or a shipped recipe \(.*nano.*\), got neither \(did you mean "own-pairs"\?\)$/,
    );
  });

  test("reads the file again at every call", async () => {
    const path = await write("changing.ts", 'export default { kind: "tokenizer", steps: 3 };');
    await loadRecipe(path, kinds);
    await write("changing.ts", 'export default { kind: "tokenizer", steps: 4 };');
    expect(await loadRecipe(path, kinds)).toHaveProperty("steps", 4);
  });

  test("says what is wrong with a file that is not a recipe", async () => {
    expect(await failure(join(folder, "none.ts"))).toContain("none.ts: expected a file, found nothing there");
    expect(await failure(await write("syntax.ts", "const x: = 3;"))).toMatch(
      /syntax\.ts:1:9: Unexpected "="/,
    );
    expect(await failure(await write("import.ts", 'import "./gone.ts";'))).toContain("gone.ts");
    expect(await failure(await write("throws.ts", "throw new Error('no such day');"))).toContain(
      "no such day",
    );
    expect(await failure(await write("empty.ts", "export const a = 1;"))).toContain(
      "expected a default export, got none",
    );
    expect(await failure(await write("number.ts", "export default 3;"))).toContain("to be a recipe, got 3");
    expect(await failure(await write("untagged.ts", "export default { steps: 3 };"))).toContain(
      "got an object without a kind",
    );
    expect(await failure(await write("kind.ts", "export default { kind: 'diffusion' };"))).toContain(
      'of kind tokenizer or transformer, got kind "diffusion"',
    );
    expect(
      await failure(await write("value.ts", "export default { kind: 'tokenizer', steps: -1 };")),
    ).toContain("value.ts: tokenizer recipe: steps: expected a whole number from 1, got -1");
  });

  test("a recipe that cannot import the package gets advice", async () => {
    const other = await mkdtemp(join(tmpdir(), "xprompt-far-"));
    await writeFile(join(other, "far.ts"), 'import "x-prompt/training";');
    expect(await failure(join(other, "far.ts"))).toContain("npm install x-prompt next to the recipe");
    await rm(other, { recursive: true });
    const exports = { "./training": "./dist/training.js" };
    await write("unbuilt/package.json", JSON.stringify({ name: "x-prompt", type: "module", exports }));
    const unbuilt = await write("unbuilt/recipes/nano.ts", 'import "x-prompt/training";');
    expect(await failure(unbuilt)).toContain("in a clone of it, npm run build");
  });
});

describe("recipeDigest and describeDifference", () => {
  test("the digest ignores the order of keys and nothing else", () => {
    const digest = recipeDigest({ a: 1, b: { c: [1, 2], d: "x" } });
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(recipeDigest({ b: { d: "x", c: [1, 2] }, a: 1 })).toBe(digest);
    expect(recipeDigest({ a: 1, b: { c: [2, 1], d: "x" } })).not.toBe(digest);
    expect(recipeDigest({ a: 1, b: { c: [1, 2], d: "y" } })).not.toBe(digest);
  });

  test("is the SHA-256 of canonical JSON", () => {
    // printf '{"a":[{"x":1,"y":2}],"b":2}' | sha256sum
    expect(recipeDigest({ b: 2, a: [{ y: 2, x: 1 }] })).toBe(
      "9308fb21455b6b2a6334ad19fbae79b9b2ae0602a5237a554ce20d7637e23d6e",
    );
  });

  test("lists the settings that changed, by dotted key", () => {
    const changed = override(
      "--optimizer.learningRate=3e-4",
      "--data.weights.rain=2",
      "--data.families=fog,rain",
    );
    expect(describeDifference(recipe, changed)).toEqual([
      'data.families: ["rain"] → ["fog","rain"]',
      "data.weights.rain: (unset) → 2",
      "optimizer.learningRate: 0.001 → 0.0003",
    ]);
    expect(describeDifference(recipe, structuredClone(recipe))).toEqual([]);
  });
});
