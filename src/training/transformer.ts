/**
 * @file Training the transformer on packed contexts: next-token cross-entropy of the TODO parts given the XP blocks
 * of their examples (paper, section 3.2), with a weight for each region and a z-loss.
 */
import { z } from "zod";
import type { DecoderConfig } from "../chameleon/config.ts";
import { loadTokenizers, readWeights, type Weight, writeModelFolder } from "../chameleon/folder.ts";
import { VQ_PREFIX } from "../chameleon/image-tokenizer.ts";
import type { Vocabulary } from "../chameleon/vocabulary.ts";
import { XPromptError } from "../errors.ts";
import { Graph, parameterShapes } from "../graph/index.ts";
import { Random } from "../random.ts";
import { readJson } from "../runtime/files.ts";
import { floats, type SessionOptions } from "../runtime/session.ts";
import { families, selectFamilies } from "../tasks/index.ts";
import { modelConfigToJson } from "../xprompt/config.ts";
import { XPrompt } from "../xprompt/model.ts";
import { resolveModel } from "../xprompt/models.ts";
import { exampleRows, type Packing, todoRows } from "../xprompt/packing.ts";
import { exampleMasks, type XPromptConfig } from "../xprompt/sequence.ts";
import { HeldOut } from "./evaluation.ts";
import { feedsOf, objective } from "./objective.ts";
import { recipeKind } from "./recipe.ts";
import { runSettings, type TrainingTask } from "./run.ts";
import { initialize, TrainingState } from "./state.ts";
import { TrainingStep } from "./step.ts";
import { type ContextOptions, type PackedBatch, packingOf } from "./transformer-data.ts";
import { transformerSheet } from "./transformer-sheet.ts";
import { moduleBeside, SampleStream } from "./workers.ts";

const share = z.number().min(0).max(1);
const familyNames = z.array(z.enum(families.map((family) => family.name) as [string, ...string[]]));

export const transformerRecipe = recipeKind(
  "transformer",
  z.strictObject({
    ...runSettings,
    /** Model name or folder whose image and text tokenizers are used. */
    tokenizers: z.string().default("nano"),
    /** Contexts a step. */
    contexts: z.int().min(1).default(4),
    /** TODO parts that share the examples of a context. */
    todos: z.int().min(1).default(3),
    model: z.strictObject({
      hiddenSize: z.int().min(2).default(256),
      intermediateSize: z.int().min(1).default(704),
      layers: z.int().min(1).default(6),
      heads: z.int().min(1).default(8),
    }),
    xprompt: z
      .strictObject({
        /** S: tokens that an example is compressed to. */
        tokens: z.int().min(1).default(16),
        /** Most text tokens of an instruction or caption. */
        maxTextTokens: z.int().min(0).default(16),
        /** What TODO parts see of examples: their XP blocks, or all of them. */
        mask: z.enum(exampleMasks).default("xprompt"),
      })
      .prefault({}),
    loss: z
      .strictObject({
        target: z.number().min(0).default(1),
        words: z.number().min(0).default(1),
        query: z.number().min(0).default(0.1),
        instruction: z.number().min(0).default(0.1),
        zLoss: z.number().min(0).default(1e-5),
      })
      .prefault({}),
    mix: z
      .strictObject({
        /** Families to train on; all when empty. */
        families: familyNames.default([]),
        /** Families never shown in training. */
        heldOut: familyNames.default([]),
        /** How often a context has 1, 2, 3, … examples. */
        exampleCounts: z.array(z.number().min(0)).min(1).default([1]),
        describe: share.default(0.1),
        textToImage: share.default(0.05),
        imageToText: share.default(0.3),
        withoutExample: share.default(0.1),
        exampleInstruction: share.default(0.25),
        todoInstruction: share.default(0.5),
      })
      .prefault({}),
    /** Batches of held-out contexts that an evaluation looks at. */
    heldOutBatches: z.int().min(1).default(6),
  }),
);
export type TransformerRecipe = ReturnType<typeof transformerRecipe>;

/** Makes a run of the recipe ready. */
export async function transformerTask(recipe: TransformerRecipe): Promise<TrainingTask<PackedBatch>> {
  const folder = await resolveModel(recipe.tokenizers);
  const session: SessionOptions = { threads: recipe.threads, device: recipe.device };
  const tokenizers = await loadTokenizers(folder, session);
  const { vocabulary } = tokenizers.text;
  const xprompt: XPromptConfig = {
    ...recipe.xprompt,
    todoPosition: todoPositionOf(recipe, tokenizers.image.codesPerImage),
  };
  const config: DecoderConfig = {
    ...recipe.model,
    vocabularySize: vocabulary.size,
    keyValueHeads: recipe.model.heads,
    rmsNormEpsilon: 1e-5,
    ropeTheta: 10_000,
    maxPositions: 2 * xprompt.todoPosition,
    swinNorm: false,
  };
  checkSettings(recipe, vocabulary);
  const packing = (examples: number) =>
    packingOf({ ...recipe, xprompt }, examples, tokenizers.image.codesPerImage);
  const build = (packing: Packing) => (graph: Graph) => objective(graph, packing, config, recipe.loss.zLoss);
  const graph = new Graph();
  build(packing(1))(graph);
  const state = new TrainingState(parameterShapes(graph));
  initialize(state, (name) => Random.of(recipe.seed, "weights", name), deviationOf(config));

  /** One compiled step for each shape of batch; all work on the same state. */
  const steps = new Map<string, Promise<TrainingStep>>();
  const stepFor = (packing: Packing) => {
    const shape = JSON.stringify(packing);
    const compiled = steps.get(shape) ?? TrainingStep.compile(build(packing), recipe.optimizer, session);
    steps.set(shape, compiled);
    return compiled;
  };
  const data = (part: string): ContextOptions => ({
    seed: recipe.seed,
    part,
    tokenizers: folder,
    xprompt,
    contexts: recipe.contexts,
    todos: recipe.todos,
    mix: recipe.mix,
    weights: recipe.loss,
  });

  /** Held-out contexts of the families trained on, and of those that training never shows. */
  const plain = {
    ...recipe.mix,
    exampleCounts: [1],
    describe: 0,
    textToImage: 0,
    withoutExample: 0,
    todoInstruction: 0,
  };
  const unseen = { ...plain, families: recipe.mix.heldOut, heldOut: [] };
  const kinds = {
    seen: { ...data("held out"), mix: plain },
    ...(unseen.families.length > 0 && { unseen: { ...data("unseen"), mix: unseen } }),
  };
  const heldOut = HeldOut.prepare(kinds, recipe.heldOutBatches, tokenizers, build(packing(1)), session);
  heldOut.catch(() => {}); // Whoever measures is told.

  const parts = {
    config: { decoder: config, image: tokenizers.image.config, xprompt },
    text: tokenizers.text,
  };
  const imageWeights = await readWeights(folder, undefined, (name) => name.startsWith(`${VQ_PREFIX}.`));
  const allWeights = () => new Map<string, Weight>([...state.weights(), ...imageWeights]);

  return {
    recipe,
    state,
    extras: {},
    unit: "tokens",
    batches: (from) =>
      new SampleStream({
        module: moduleBeside(import.meta.url, "transformer-data"),
        options: data("train"),
        workers: recipe.workers,
        from,
      }),
    async step(batch, learningRate) {
      const compiled = await stepFor(batch.packing);
      const { loss, gradientNorm, report } = await compiled.run(state, feedsOf(batch), learningRate);
      const nll = floats(report.targetNll!)[0]!;
      const inWords = batch.packing.todoLength < packing(1).todoLength;
      return {
        metrics: { loss, gradientNorm, [inWords ? "wordsNll" : "nll"]: nll },
        units: exampleRows(batch.packing) + todoRows(batch.packing),
      };
    },
    evaluate: async () => (await heldOut).measure(state),
    async sheet() {
      const model = await XPrompt.assemble(
        { ...parts, weights: allWeights(), checksum: "in training" },
        session,
      );
      try {
        return await transformerSheet(model, recipe, `transformer, step ${state.step}`);
      } finally {
        await model.release();
      }
    },
    release: async (path) =>
      writeModelFolder(path, {
        config: modelConfigToJson(parts.config),
        weights: allWeights(),
        tokenizer: await readJson(`${folder}/tokenizer.json`, z.unknown(), "tokenizer"),
      }),
    async close() {
      for (const step of steps.values()) await (await step).release();
      await (await heldOut).release();
      await tokenizers.image.release();
    },
  };
}

/** @throws XPromptError naming the first setting that does not go with the tokenizers or with another one */
function checkSettings({ model, xprompt, mix, tokenizers }: TransformerRecipe, { xp }: Vocabulary): void {
  const refuse = (what: string) => {
    throw new XPromptError(`transformer recipe: ${what}`);
  };
  if (model.hiddenSize % (2 * model.heads) !== 0)
    refuse(
      `model.hiddenSize: expected a multiple of ${2 * model.heads}, for ${model.heads} heads of even width, got ${model.hiddenSize}`,
    );
  if (xprompt.tokens > xp.length)
    refuse(
      `xprompt.tokens: expected at most the ${xp.length} XP tokens of ${tokenizers}, got ${xprompt.tokens} (train tokenizers with a larger text.xpTokens)`,
    );
  const include = mix.families.length > 0 ? mix.families : undefined;
  if (selectFamilies({ include, exclude: mix.heldOut }).length === 0)
    refuse("mix.heldOut: expected to leave at least one family to train on, got all of them");
}

/** The first multiple of 64 behind the longest example. */
function todoPositionOf({ xprompt }: TransformerRecipe, codesPerImage: number): number {
  return 64 * Math.ceil((1 + xprompt.maxTextTokens + 2 * (codesPerImage + 2) + xprompt.tokens) / 64);
}

/** Normal with deviation 0.02, the residual branches' last matrices smaller by √(2 · layers), as in GPT-2. */
function deviationOf({
  layers,
}: DecoderConfig): (name: string, shape: readonly number[]) => number | "ones" | "zeros" {
  return (name, shape) => {
    if (/norm\.bias$/.test(name)) return "zeros";
    if (/norm\.weight$/.test(name)) return "ones";
    return /(o_proj|down_proj)\.weight$/.test(name)
      ? 0.02 / Math.sqrt(2 * layers)
      : shape.length > 1
        ? 0.02
        : 0;
  };
}
