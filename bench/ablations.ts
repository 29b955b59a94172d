/**
 * @file `bench ablations`: the effect of single settings of the method. Trains every recipe of `recipes/ablations/` with
 * several seeds, for the same number of steps and tokens, and measures it with `xprompt eval likelihood` on the same
 * tasks. A variant is compared with the base run of the same seed. Existing results are kept.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import base from "../recipes/ablations/base.ts";
import { XPromptError } from "../src/errors.ts";
import { mean } from "../src/evaluation/metrics/bootstrap.ts";
import { readJson, writeFileAtomic } from "../src/runtime/files.ts";
import { familyNamed } from "../src/tasks/index.ts";
import { hasCheckpoint } from "../src/training/index.ts";
import { benchmark, type CommonOptions, integer, type Report, setting } from "./options.ts";
import { round } from "./timing.ts";

const recipes = fileURLToPath(new URL("../recipes/ablations", import.meta.url));
const program = fileURLToPath(new URL("../bin/xprompt.js", import.meta.url));
const BASE = "base";

interface Options extends CommonOptions {
  readonly out: string;
  readonly steps?: number;
  readonly limit: number;
  readonly only?: readonly string[];
}

export function ablationsBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return benchmark("ablations", "The effect of single settings of the method, over seeds.", 2)
    .option(
      "--out <dir>",
      "folder of the runs; --threads runs train in parallel. Defaults to runs/ablations",
      "runs/ablations",
    )
    .option("--steps <n>", "steps per run. Defaults to the recipes'", integer)
    .option("--limit <n>", "samples per family. Defaults to 8", integer, 8)
    .option("--only <names>", "variants to run, such as causal-mask,xp-4. Defaults to all", (text) =>
      text.split(","),
    )
    .action(async (options: Options) => print(await measure(options), options));
}

async function measure(options: Options): Promise<Report> {
  const all = (await readdir(recipes))
    .map((file) => file.replace(/\.ts$/, ""))
    .filter((name) => name !== BASE);
  for (const name of options.only ?? [])
    if (!all.includes(name))
      throw new InvalidArgumentError(`expected one of ${all.join(", ")}, got "${name}".`);
  const names = [BASE, ...(options.only ?? all.sort())];
  const seeds = Array.from({ length: options.repeats }, (_, i) => i + 1);
  await mkdir(options.out, { recursive: true });
  const waiting = seeds.flatMap((seed) => names.map((name) => ({ name, seed })));
  const lanes = Array.from({ length: options.threads }, async () => {
    for (let run = waiting.shift(); run; run = waiting.shift()) await train(run, options);
  });
  await Promise.all(lanes);
  const found = new Map<string, Figures[]>();
  for (const name of names)
    found.set(name, await Promise.all(seeds.map((seed) => figuresOf({ name, seed }, options))));
  return reportOf(found, seeds, options);
}

interface Run {
  readonly name: string;
  readonly seed: number;
}

/** Runs with another number of steps have their own folder. */
const folderOf = ({ name, seed }: Run, { out, steps = base.steps }: Options) =>
  join(out, `${name}-${seed}${steps === base.steps ? "" : `-${steps}`}`);
/** Results with another limit have their own file. */
const resultOf = (run: Run, options: Options) =>
  join(folderOf(run, options), `likelihood-${options.limit}.json`);

/** Trains and measures one run. An interrupted run resumes from its last checkpoint. */
async function train(run: Run, options: Options): Promise<void> {
  const [folder, result] = [folderOf(run, options), resultOf(run, options)];
  if (existsSync(result)) return;
  process.stderr.write(`${run.name}, seed ${run.seed}\n`);
  const resume = (await hasCheckpoint(folder)) ? ["--resume"] : [];
  const steps = options.steps ? [`--steps=${options.steps}`] : [];
  const recipe = join(recipes, `${run.name}.ts`);
  await xprompt(["train", recipe, "--out", folder, `--seed=${run.seed}`, ...steps, ...resume]);
  const model = join(folder, "model");
  const limit = ["--limit", String(options.limit), "--threads", "1"];
  await writeFileAtomic(result, await xprompt(["eval", "likelihood", "--model", model, ...limit, "--json"]));
}

/** Runs the command line and returns its standard output. @throws XPromptError with its last line if it fails */
function xprompt(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let [printed, said] = ["", ""];
    child.stdout.on("data", (text) => (printed += text));
    child.stderr.on("data", (text) => (said = `${said}${text}`.slice(-2000)));
    child.on("error", reject);
    child.on("close", (status) => {
      const last = said.trim().split("\n").at(-1);
      if (status === 0) resolve(printed);
      else reject(new XPromptError(`xprompt ${args.slice(0, 2).join(" ")}: ${last}`));
    });
  });
}

const nats = z.object({ right: z.number(), wrong: z.number(), queryAlone: z.number() });
const ofScenes = z.object({ mean: z.number() });
const resultSchema = z.object({
  families: z.record(z.string(), nats),
  textToImage: z.object({ right: ofScenes, wrong: ofScenes, noCaption: ofScenes }),
});
type Nats = z.output<typeof nats>;

/** The groups of tasks on which every run is measured, independent of its training. */
const isBackwards = (name: string) => familyNamed(name).reverseOf !== undefined;
const isTone = (name: string) => familyNamed(name).prototype === "tone";
const { families: trained, heldOut } = base.mix;
const groups = {
  forwards: trained.filter((name) => !isBackwards(name) && !isTone(name)),
  backwards: trained.filter(isBackwards),
  tone: trained.filter((name) => isTone(name) && !isBackwards(name)),
  "never seen": heldOut,
} as const;
type Figures = Readonly<Record<string, Nats>>;

async function figuresOf(run: Run, options: Options): Promise<Figures> {
  const { families, textToImage } = await readJson(resultOf(run, options), resultSchema, "result");
  const meanOf = (names: readonly string[], condition: keyof Nats) =>
    mean(names.map((name) => families[name]![condition]));
  const ofGroup = (names: readonly string[]): Nats => ({
    right: meanOf(names, "right"),
    wrong: meanOf(names, "wrong"),
    queryAlone: meanOf(names, "queryAlone"),
  });
  const { right, wrong, noCaption } = textToImage;
  return {
    ...Object.fromEntries(Object.entries(groups).map(([group, names]) => [group, ofGroup(names)])),
    captions: { right: right.mean, wrong: wrong.mean, queryAlone: noCaption.mean },
  };
}

/** The effect of one setting on one group of tasks: mean and range over seeds. */
function effectOf(runs: readonly Figures[], base: readonly Figures[], group: string) {
  const over = (value: (figures: Figures, base: Figures) => number) => {
    const values = runs.map((figures, i) => value(figures, base[i]!));
    return {
      mean: round(mean(values), 3),
      range: [round(Math.min(...values), 3), round(Math.max(...values), 3)],
    };
  };
  return {
    /** Nats per code with the right example or caption. */
    right: over((figures) => figures[group]!.right),
    /** Difference to the base run of the same seed; above 0 is worse. */
    overBase: over((figures, other) => figures[group]!.right - other[group]!.right),
    /** Benefit of the example or caption: nats without minus nats with it. */
    worth: over((figures) => figures[group]!.queryAlone - figures[group]!.right),
  };
}

function reportOf(found: ReadonlyMap<string, readonly Figures[]>, seeds: number[], options: Options): Report {
  const names = [...Object.keys(groups), "captions"];
  const unaltered = found.get(BASE)!;
  const variants = Object.fromEntries(
    [...found].map(([name, runs]) => [
      name,
      Object.fromEntries(names.map((group) => [group, effectOf(runs, unaltered, group)])),
    ]),
  );
  const signed = (value: number) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
  const rows = Object.entries(variants).map(([name, effects]) => [
    name,
    ...names.map((group) => {
      const { right, overBase, worth } = effects[group]!;
      if (name === BASE) return `${right.mean.toFixed(3)} (${worth.mean.toFixed(3)})`;
      return `${signed(overBase.mean)} [${overBase.range.map(signed).join(" ")}] (${worth.mean.toFixed(3)})`;
    }),
  ]);
  return {
    result: {
      benchmark: "ablations",
      ...setting(options),
      unit: "nats per code",
      steps: options.steps ?? base.steps,
      limit: options.limit,
      seeds,
      groups,
      variants,
    },
    rows: [
      [
        "nats per code; difference to base [range over seeds] (benefit of the example)",
        ...names.map(() => ""),
      ],
      ["", ...names],
      ...rows,
    ],
  };
}
