/**
 * @file Training the transformer on packed contexts: next-token cross-entropy of the TODO parts given the XP blocks
 * of their examples (paper, section 3.2), with a weight for each region and a z-loss.
 */
import { z } from "zod";
import { mergeAdapter, writeAdapterFolder } from "../chameleon/adapter-folder.ts";
import { readWeights, type Weight, writeModelFolder } from "../chameleon/folder.ts";
import { VQ_PREFIX } from "../chameleon/image-tokenizer.ts";
import { loraTargets } from "../chameleon/lora.ts";
import { XPromptError } from "../errors.ts";
import { Graph, parameterShapes } from "../graph/index.ts";
import { isLibrary, librarySettings, prepareNeighbours } from "../retrieval/index.ts";
import { readJson } from "../runtime/files.ts";
import { floats, type SessionOptions } from "../runtime/session.ts";
import { pairsSettings } from "../tasks/datasets/index.ts";
import { families, familyNamed, selectFamilies } from "../tasks/index.ts";
import { modelConfigToJson } from "../xprompt/config.ts";
import { XPrompt } from "../xprompt/model.ts";
import { exampleRows, type Packing, todoRows } from "../xprompt/packing.ts";
import { exampleMasks } from "../xprompt/sequence.ts";
import { type MixSettings, openSets } from "./contexts.ts";
import { HeldOut } from "./evaluation.ts";
import { feedsOf, objective } from "./objective.ts";
import { recipeKind } from "./recipe.ts";
import { runSettings, type TrainingTask } from "./run.ts";
import { TrainingStep } from "./step.ts";
import { type ContextOptions, type PackedBatch, packingOf } from "./transformer-data.ts";
import { transformerSheet } from "./transformer-sheet.ts";
import { initialState, startOf } from "./transformer-start.ts";
import { moduleBeside, SampleStream } from "./workers.ts";

const share = z.number().min(0).max(1);
const familyNames = z.array(z.enum(families.map((family) => family.name) as [string, ...string[]]));

export const transformerRecipe = recipeKind(
  "transformer",
  z.strictObject({
    ...runSettings,
    /** Model name or folder to start from, which has its tokenizers and sizes; weights are drawn at random without. */
    init: z.string().optional(),
    /**
     * What is trained: all weights; or, of a model whose weights stay as they are, the embeddings of its XP tokens
     * ("xp"), or these and low-rank adapters ("lora").
     */
    train: z.enum(["all", "xp", "lora"]).default("all"),
    /** Where `train` is "lora". */
    lora: z
      .strictObject({
        rank: z.int().min(1).default(8),
        /** An adapter counts `alpha / rank` times. */
        alpha: z.number().positive().default(16),
        targets: z
          .array(z.enum(loraTargets))
          .min(1)
          .default([...loraTargets]),
        /** Also train the head's rows of image tokens, as Anole did to bring image generation back. */
        imageHead: z.boolean().default(false),
      })
      .prefault({}),
    /** Write a whole model where an adapter was trained, with the adapter in its weights. */
    merge: z.boolean().default(false),
    /** Model name or folder whose image and text tokenizers are used. Defaults to nano, or to `init`. */
    tokenizers: z.string().optional(),
    /** Contexts a step. */
    contexts: z.int().min(1).default(4),
    /** TODO parts that share the examples of a context. */
    todos: z.int().min(1).default(3),
    /** Sizes of a model that starts from nothing. */
    model: z
      .strictObject({
        /** Defaults to 256. */
        hiddenSize: z.int().min(2).optional(),
        /** Defaults to 704. */
        intermediateSize: z.int().min(1).optional(),
        /** Defaults to 6. */
        layers: z.int().min(1).optional(),
        /** Defaults to 8. */
        heads: z.int().min(1).optional(),
        /**
         * Base of the rotary angles, 10,000 as published unless told: of a sequence of some hundred tokens, half the
         * angles hardly turn then. A smaller base tells near places apart better.
         */
        ropeTheta: z.number().gt(1).optional(),
      })
      .prefault({}),
    xprompt: z
      .strictObject({
        /** S: tokens that an example is compressed to. Defaults to 16, or to what `init` has; so do the others. */
        tokens: z.int().min(1).optional(),
        /** Most text tokens of an instruction or caption. Defaults to 16. */
        maxTextTokens: z.int().min(0).optional(),
        /** What TODO parts see of examples: their XP blocks, or all of them. Defaults to "xprompt". */
        mask: z.enum(exampleMasks).optional(),
        /** What the model recommends to be drawn with. Defaults to nothing, or to what `init` has. */
        sampling: z
          .strictObject({
            temperature: z.number().min(0).optional(),
            topK: z.int().min(0).optional(),
            topP: z.number().gt(0).max(1).optional(),
            guidance: z.number().min(0).max(100).optional(),
          })
          .optional(),
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
        /**
         * Folders or files of pairs to train on, or their settings (docs/datasets.md), equally often each; or example
         * libraries, each of whose pairs is shown with its nearest neighbour (docs/examples.md).
         */
        pairs: z.array(z.union([z.string().min(1), pairsSettings, librarySettings])).default([]),
        /** Share of contexts that are drawn from `pairs`, where there are any; the others are of families. */
        pairsShare: share.default(0.5),
        /** Share of the pairs that is kept out of training, to measure on. */
        pairsHeldOut: z.number().min(0).max(0.9).default(0.1),
        /** Share of the contexts of pairs that are asked for backwards. */
        pairsReversed: share.default(0),
        /** Families to train on; all when empty. */
        families: familyNames.default([]),
        /** Families never shown in training. */
        heldOut: familyNames.default([]),
        /** How often a family is drawn, by name; 1 for those that are not named. */
        weights: z.record(z.string(), z.number().min(0)).default({}),
        /** How often a context has 1, 2, 3, … examples. */
        exampleCounts: z.array(z.number().min(0)).min(1).default([1]),
        describe: share.default(0.1),
        textToImage: share.default(0.05),
        imageToText: share.default(0.3),
        withoutExample: share.default(0.1),
        exampleInstruction: share.default(0.25),
        todoInstruction: share.default(0.5),
        /** Share of a target's codes that are read as others of its picture while the next ones are predicted. */
        misread: share.default(0),
      })
      .prefault({}),
    /** Batches of held-out contexts that an evaluation looks at. */
    heldOutBatches: z.int().min(1).default(6),
  }),
);
export type TransformerRecipe = ReturnType<typeof transformerRecipe>;

/** Makes a run of the recipe ready. */
export async function transformerTask(recipe: TransformerRecipe): Promise<TrainingTask<PackedBatch>> {
  const session: SessionOptions = { threads: recipe.threads, device: recipe.device };
  checkMix(recipe);
  const start = await startOf(recipe, session);
  const { folder, tokenizers, xprompt, config } = start;
  const { adapter, ...decoder } = config;
  const packing = (examples: number) =>
    packingOf({ ...recipe, xprompt }, examples, tokenizers.image.codesPerImage);
  const build = (packing: Packing) => (graph: Graph) => objective(graph, packing, config, recipe.loss.zLoss);
  const graph = new Graph();
  build(packing(1))(graph);
  const state = initialState(start, parameterShapes(graph), recipe.seed);

  const mix: MixSettings = { ...recipe.mix, pairs: await Promise.all(recipe.mix.pairs.map(prepared)) };
  const isTrained = (name: string) => state.parameters.has(name);

  /** One compiled step for each shape of batch; all work on the same state. */
  const steps = new Map<string, Promise<TrainingStep>>();
  const stepFor = (packing: Packing) => {
    const shape = JSON.stringify(packing);
    const compiled =
      steps.get(shape) ?? TrainingStep.compile(build(packing), recipe.optimizer, session, isTrained);
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
    mix,
    weights: recipe.loss,
  });

  /** Held-out contexts of the families trained on, and of those that training never shows. */
  const plain = {
    ...mix,
    pairsShare: 0,
    exampleCounts: [1],
    describe: 0,
    textToImage: 0,
    withoutExample: 0,
    todoInstruction: 0,
    misread: 0,
    weights: {},
  };
  const unseen = { ...plain, families: recipe.mix.heldOut, heldOut: [] };
  const kinds = {
    seen: { ...data("held out"), mix: plain },
    ...(unseen.families.length > 0 && { unseen: { ...data("unseen"), mix: unseen } }),
    ...(hasPairs(recipe) && { pairs: { ...data("held out"), mix: { ...plain, pairsShare: 1 } } }),
  };
  // A set with nothing to measure on is told now, not when the first stretch of training is over.
  if (hasPairs(recipe)) await openSets(kinds.pairs!);
  const heldOut = HeldOut.prepare(kinds, recipe.heldOutBatches, tokenizers, build(packing(1)), session);
  heldOut.catch(() => {}); // Whoever measures is told.

  const parts = {
    config: { decoder, image: tokenizers.image.config, xprompt },
    text: tokenizers.text,
  };
  const imageWeights = await readWeights(folder, undefined, (name) => name.startsWith(`${VQ_PREFIX}.`));
  const { frozen } = state;
  const trained = () => ({ config: adapter ?? {}, weights: state.weights() });
  const allWeights = () =>
    new Map<string, Weight>([
      ...(frozen ? mergeAdapter(frozen.weights, trained()) : state.weights()),
      ...imageWeights,
    ]);

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
      if (!tokenizers.image.canDecode) return undefined;
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
    async release(path) {
      if (frozen && !recipe.merge)
        return writeAdapterFolder(path, trained(), { name: recipe.init!, checksum: frozen.checksum });
      return writeModelFolder(path, {
        config: { ...modelConfigToJson(parts.config), training: trainingFacts(recipe) },
        weights: allWeights(),
        tokenizer: await readJson(`${folder}/tokenizer.json`, z.unknown(), "tokenizer"),
      });
    },
    async close() {
      for (const step of steps.values()) await (await step).release();
      await (await heldOut).release();
      await tokenizers.image.release();
    },
  };
}

/** A set as the threads that make contexts open it: a library has its vectors by then. */
async function prepared(
  set: TransformerRecipe["mix"]["pairs"][number],
): Promise<MixSettings["pairs"][number]> {
  if (typeof set === "string") return isLibrary(set) ? prepareNeighbours({ library: set }) : set;
  return "library" in set ? prepareNeighbours(set) : set;
}

/** What a model says of its training: suites ask it which tasks it has seen. */
function trainingFacts({ mix }: TransformerRecipe): Record<string, readonly string[]> {
  const include = mix.families.length > 0 ? mix.families : undefined;
  const shown = selectFamilies({ include, exclude: mix.heldOut });
  return { families: shown.map(({ name }) => name), held_out: mix.heldOut };
}

/** Whether there are pairs to measure on. */
const hasPairs = ({ mix }: TransformerRecipe): boolean => mix.pairs.length > 0 && mix.pairsHeldOut > 0;

/** @throws XPromptError when nothing is left to train on; UsageError for a weight of a family that there is none of */
function checkMix({ mix }: TransformerRecipe): void {
  for (const name of Object.keys(mix.weights)) familyNamed(name);
  const include = mix.families.length > 0 ? mix.families : undefined;
  if (selectFamilies({ include, exclude: mix.heldOut }).length === 0)
    throw new XPromptError(
      "transformer recipe: mix.heldOut: expected to leave at least one family to train on, got all of them",
    );
}
