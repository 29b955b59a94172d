/**
 * @file `bench draft`: draft and verify beside one run per code, on edits of held-out scenes; and what a run costs by its
 * tokens, in float32 and in 4 bits. Processor time is compared, which varies less where other programs share the machine.
 */
import type { Command } from "commander";
import type { DecoderConfig } from "../src/chameleon/checkpoint/config.ts";
import type { KeyValueCache } from "../src/chameleon/model/cache.ts";
import { Decoder } from "../src/chameleon/model/decoder.ts";
import { sampleOf } from "../src/evaluation/samples.ts";
import { type Initializer, quantizedShapes } from "../src/graph/index.ts";
import { familyNamed } from "../src/tasks/index.ts";
import { type Generated, XPrompt } from "../src/xprompt/model.ts";
import {
  benchmark,
  type CommonOptions,
  codeByCode,
  integer,
  integers,
  type Report,
  setting,
} from "./options.ts";
import { alternate, median, type Run, round } from "./timing.ts";

interface DraftOptions extends CommonOptions {
  readonly model: string;
  readonly requests: number;
  readonly families: readonly string[];
  readonly widths: readonly number[];
}

const EDITS =
  "dehaze,haze,brightness,lowLight,grayscale,tint,hueRotation,timeOfDay,season,removeObject,recolor,replaceShape," +
  "removeBox,cutOut,background,denoise,segmentation,rain";

export function draftBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return benchmark("draft", "Draft and verify, beside one run per code.", 9)
    .option("--model <name>", "a shipped model, or a model folder. Defaults to nano", "nano")
    .option("--requests <n>", "requests of each family. Defaults to 1", integer, 1)
    .option(
      "--families <a,…>",
      `task families. Defaults to ${EDITS}`,
      (text) => text.split(","),
      EDITS.split(","),
    )
    .option("--widths <n,…>", "tokens per run. Defaults to 1,2,4,8,16", integers, [1, 2, 4, 8, 16])
    .action(async (options: DraftOptions) => print(await measure(options), options));
}

interface Edit {
  readonly family: string;
  readonly codes: number;
  /** Codes that differ from those without drafts. */
  readonly different: number;
  readonly drafted: Drawn;
  readonly sequential: Drawn;
}

interface Drawn {
  readonly steps: Generated["steps"];
  /** Milliseconds of processor time: of the request, and of its codes after the first. */
  readonly request: number;
  readonly sampling: number;
}

async function measure(options: DraftOptions): Promise<Report> {
  const { families, requests, widths, threads } = options;
  const model = await XPrompt.load(options.model, { threads });
  const edits: Edit[] = [];
  process.stderr.write("drawing edits ");
  for (let i = -1; i < requests; i++)
    for (const family of i < 0 ? families.slice(0, 1) : families) {
      const edit = await drawn(model, family, Math.max(i, 0));
      if (i >= 0) edits.push(edit); // the first one warms up
      process.stderr.write("+");
    }
  process.stderr.write("\n");
  const costs = {
    [options.model]: await costByWidth(model.base.decoder, options),
    "4 bits, 1,024 wide": await costOfFourBits(options),
  };
  await model.release();
  const sum = (of: (edit: Edit) => number, among: readonly Edit[] = edits) =>
    among.reduce((all, edit) => all + of(edit), 0);
  const summary = (among: readonly Edit[]) => {
    const ratio = (of: (side: Drawn) => number) =>
      round(sum(({ sequential }) => of(sequential), among) / sum(({ drafted }) => of(drafted), among), 2);
    const { drafted, accepted } = {
      drafted: sum((edit) => edit.drafted.steps.drafted, among),
      accepted: sum((edit) => edit.drafted.steps.accepted, among),
    };
    return {
      runs: ratio(({ steps }) => steps.runs),
      accepted: round(accepted / drafted, 2),
      sampling: ratio(({ sampling }) => sampling),
      request: ratio(({ request }) => request),
    };
  };
  const byFamily = families.map((family) => ({
    family,
    ...summary(edits.filter((edit) => edit.family === family)),
  }));
  const all = summary(edits);
  const different = sum((edit) => edit.different);
  return {
    result: {
      benchmark: "draft",
      model: options.model,
      requests: edits.length,
      codes: sum(({ codes }) => codes),
      different,
      all,
      byFamily,
      costs,
      ...setting(options),
    },
    rows: [
      ["", "fewer runs", "guesses right", "less processor time, sampling", "whole request"],
      ...[...byFamily, { family: `all ${edits.length}`, ...all }].map((each) => [
        each.family,
        `${each.runs} ×`,
        `${Math.round(100 * each.accepted)}%`,
        `${each.sampling} ×`,
        `${each.request} ×`,
      ]),
      [`codes that differ`, `${different} of ${sum(({ codes }) => codes)}`],
      ["cost of a run by tokens of each row, one token = 1", ...widths.map(String)],
      ...Object.entries(costs).flatMap(([name, byRows]) =>
        Object.entries(byRows).map(([rows, found]) => [`${name}, ${rows} rows`, ...found.map(String)]),
      ),
    ],
  };
}

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
};

/** The requests so far: every other one begins with drafts. */
let count = 0;

/** One request, with drafts and without. */
async function drawn(model: XPrompt, family: string, index: number): Promise<Edit> {
  const sample = sampleOf(familyNamed(family), 0, index, model.size);
  const { input, output } = sample.example(0);
  const prompt = await model.compress([{ input, output }]);
  const draw = async (draft: boolean) => {
    const begun = cpuMs();
    let first: number | undefined;
    let last = 0;
    let result: Generated | undefined;
    const request = { ...codeByCode, prompt, input: sample.query.input, seed: sample.seed, draft };
    for await (const step of model.stream(request)) {
      if (step.result) result = step.result;
      else last = cpuMs();
      first ??= last;
    }
    return { ...result!, request: cpuMs() - begun, sampling: last - first! };
  };
  const isFirst = count++ % 2 === 0;
  const one = await draw(isFirst);
  const other = await draw(!isFirst);
  const [drafted, sequential] = isFirst ? [one, other] : [other, one];
  const [expected, codes] = [sequential.codes[0]!, drafted.codes[0]!];
  return {
    family,
    codes: codes.length,
    different: codes.filter((code, i) => code !== expected[i]).length,
    drafted,
    sequential,
  };
}

/** Slots in use. */
const SLOTS = 96;

/** Processor time of a run by its tokens per row, the first width's being 1; of one row and of two. */
async function costByWidth(
  decoder: Decoder,
  { widths, repeats }: DraftOptions,
): Promise<Record<string, number[]>> {
  const costs: Record<string, number[]> = {};
  for (const rows of [1, 2]) {
    const cache = decoder.newCache(rows);
    await decoder.forward(Array(rows).fill(span(SLOTS)), cache);
    process.stderr.write(`measuring runs of ${rows} rows `);
    const runs = Object.fromEntries(widths.map((width) => [String(width), runOf(decoder, cache, width)]));
    const times = await alternate(runs, { repeats });
    const medians = widths.map((width) => median(times[String(width)]!));
    costs[rows] = medians.map((ms) => round(ms / medians[0]!, 2));
  }
  return costs;
}

const span = (count: number, position = 0) => {
  const tokens = Array.from({ length: count }, (_, i) => 4 + i);
  return { tokens, positions: tokens.map((_, i) => position + i) };
};

const runOf =
  (decoder: Decoder, cache: KeyValueCache, width: number): Run =>
  async () => {
    const before = cpuMs();
    await decoder.forwardEach(Array(cache.rows).fill(span(width, SLOTS)), cache);
    const ms = cpuMs() - before;
    for (let row = 0; row < cache.rows; row++) cache.rewind(row, width);
    return ms;
  };

/** A model of the family in 4 bits, whose weights are all the same: only its cost matters. */
async function costOfFourBits(options: DraftOptions): Promise<Record<string, number[]>> {
  const quantization = { bits: 4, blockSize: 32 } as const;
  const config: DecoderConfig = {
    ...{ vocabularySize: 8192, hiddenSize: 1024, intermediateSize: 2816, layers: 8, heads: 8 },
    ...{ keyValueHeads: 8, maxPositions: 512, rmsNormEpsilon: 1e-5, rope: { theta: 10_000 } },
    ...{ swinNorm: false, quantization },
  };
  const weights = new Map<string, Initializer>();
  const float = (name: string, shape: readonly number[], value: number) =>
    weights.set(name, { dtype: "float32", shape, data: new Float32Array(size(shape)).fill(value) });
  const matrix = (name: string, out: number, width: number) => {
    const { codes, scales } = quantizedShapes(out, width, quantization);
    weights.set(`${name}.weight`, {
      dtype: "uint8",
      shape: codes,
      data: new Uint8Array(size(codes)).fill(0x97),
    });
    float(`${name}.weight_scale`, scales, 0.01);
  };
  const { hiddenSize, intermediateSize, vocabularySize, heads } = config;
  const table = [vocabularySize, hiddenSize];
  weights.set("model.embed_tokens.weight", {
    dtype: "float16",
    shape: table,
    data: new Uint16Array(size(table)).fill(0x2c00),
  });
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `model.layers.${layer}`;
    for (const name of ["q_proj", "k_proj", "v_proj", "o_proj"])
      matrix(`${at}.self_attn.${name}`, hiddenSize, hiddenSize);
    for (const name of ["gate_proj", "up_proj"]) matrix(`${at}.mlp.${name}`, intermediateSize, hiddenSize);
    matrix(`${at}.mlp.down_proj`, hiddenSize, intermediateSize);
    for (const name of ["input_layernorm", "post_attention_layernorm"])
      float(`${at}.${name}.weight`, [hiddenSize], 1);
    for (const name of ["q_norm", "k_norm"]) {
      float(`${at}.self_attn.${name}.weight`, [heads, hiddenSize / heads], 1);
      float(`${at}.self_attn.${name}.bias`, [heads, hiddenSize / heads], 0);
    }
  }
  float("model.norm.weight", [hiddenSize], 1);
  matrix("lm_head", vocabularySize, hiddenSize);
  const decoder = await Decoder.create(config, weights, { threads: options.threads });
  const costs = await costByWidth(decoder, options);
  await decoder.release();
  return costs;
}

const size = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);
