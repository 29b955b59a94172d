/**
 * @file Training the transformer on packed contexts: next-token cross-entropy of the TODO parts given the XP blocks
 * of their examples (paper, section 3.2), with a weight for each region and a z-loss.
 */
import { z } from "zod";
import { mergeAdapter, writeAdapterFolder } from "../../chameleon/checkpoint/adapter-folder.ts";
import { readWeights, type Weight, writeModelFolder } from "../../chameleon/checkpoint/folder.ts";
import { mergeShared } from "../../chameleon/model/shared-rows.ts";
import { isOfImages } from "../../chameleon/tokenizers/image-tokenizer.ts";
import { UsageError, XPromptError } from "../../errors.ts";
import { Graph, parameterShapes } from "../../graph/index.ts";
import { isLibrary, prepareNeighbours } from "../../retrieval/index.ts";
import { readJson } from "../../runtime/files.ts";
import { buildWith, type Resources } from "../../runtime/resources.ts";
import { floats, type SessionOptions } from "../../runtime/session.ts";
import { moduleBeside } from "../../runtime/threads.ts";
import type { Skipped } from "../../tasks/datasets/index.ts";
import {
  checkName,
  familiesOf,
  knownFamilies,
  selectFamilies,
  type Worlds,
  worldNames,
} from "../../tasks/index.ts";
import { modelConfigToJson } from "../../xprompt/config.ts";
import { XPrompt } from "../../xprompt/model.ts";
import { exampleRows, todoRows } from "../../xprompt/packing.ts";
import { alone, type Collective, meanOver, partOf } from "../distributed/collective.ts";
import { WeightAverage } from "../optimizer/average.ts";
import { trainingMemory } from "../run/memory.ts";
import type { TrainingTask } from "../run/run.ts";
import { feedsOfWeights } from "../run/state.ts";
import { SampleStream } from "../run/workers.ts";
import { type ContextSource, openSets, openSources } from "./contexts.ts";
import { type ContextOptions, type PackedBatch, packingOf, possibleShapes } from "./data.ts";
import { HeldOut } from "./held-out.ts";
import type { Mix } from "./mix.ts";
import { objective, targetWeightOf } from "./objective.ts";
import type { TransformerRecipe } from "./recipe.ts";
import { transformerSheet } from "./sheet.ts";
import { initialState, startOf } from "./start.ts";
import { TransformerSteps } from "./steps.ts";

/** Steps between states that go into the mean of the weights. */
const AVERAGE_EVERY = 5;

/** Makes a run of the recipe ready, or one process's part of it. */
export function transformerTask(
  recipe: TransformerRecipe,
  collective: Collective = alone,
): Promise<TrainingTask<PackedBatch>> {
  return buildWith((resources) => prepareTransformer(recipe, resources, collective));
}

async function prepareTransformer(
  given: TransformerRecipe,
  resources: Resources,
  collective: Collective,
): Promise<TrainingTask<PackedBatch>> {
  const recipe = withPrototypes(given);
  const { length: contexts } = partOf(recipe.contexts, collective, "contexts");
  const leads = collective.rank === 0;
  const device: SessionOptions = { threads: recipe.threads, device: recipe.device };
  checkMix(recipe);
  const start = await startOf(recipe, device);
  const { folder, tokenizers, xprompt, config } = start;
  resources.own(tokenizers.image);
  const { adapter, codeFeatures, ...decoder } = config;
  const graph = new Graph();
  /** Held-out contexts have one example each. */
  const { codesPerImage } = tokenizers.image;
  const seen = { xprompt, weights: recipe.loss, wholePictures: config.wholePictures !== undefined };
  const packing = packingOf({ ...recipe, ...seen }, 1, codesPerImage);
  const { targetNll } = objective(graph, packing, config, recipe.loss.zLoss).report!;
  const state = initialState(start, parameterShapes(graph), recipe);

  const mix: Mix = { ...recipe.mix, pairs: await Promise.all(recipe.mix.pairs.map(prepared)) };
  const isTrained = (name: string) => state.parameters.has(name);
  const steps = resources.own(
    new TransformerSteps({
      shapes: possibleShapes({ ...recipe, ...seen, mix, contexts }, codesPerImage),
      config,
      recipe,
      isTrained,
      imageTokens: tokenizers.text.vocabulary.imageTokens,
      collective,
    }),
  );
  const memory = await trainingMemory(recipe, state.bytes + steps.exchanged, steps.bytes);
  const session = { ...device, arena: memory.arena };
  const data = (part: string): ContextOptions => ({
    seed: recipe.seed,
    part,
    tokenizers: folder,
    resolution: tokenizers.image.config.resolution,
    ...seen,
    contexts: recipe.contexts,
    todos: recipe.todos,
    mix,
  });

  /** Held-out contexts of the families trained on, and of those that training never shows. */
  const scenes = { scenes: 1, photos: 0, icons: 0 };
  const plain = {
    ...mix,
    worlds: scenes,
    pairsShare: 0,
    exampleCounts: [1],
    describe: 0,
    textToImage: 0,
    withoutExample: 0,
    exampleInstruction: 0,
    todoInstruction: 0,
    pairsReversed: 0,
    misread: 0,
    weights: {},
  };
  const unseen = { ...plain, families: recipe.mix.heldOut, heldOut: [] };
  const ofWorld = (name: "photos" | "icons") =>
    recipe.mix.worlds[name] > 0 && {
      [name]: { ...data("held out"), mix: { ...plain, worlds: { ...scenes, scenes: 0, [name]: 1 } } },
    };
  const kinds = {
    ...(hasScenes(trainingFacts(recipe).families!) && { seen: { ...data("held out"), mix: plain } }),
    ...ofWorld("photos"),
    ...ofWorld("icons"),
    ...(hasScenes(unseen.families) && { unseen: { ...data("unseen"), mix: unseen } }),
    ...(hasPairs(recipe) && { pairs: { ...data("held out"), mix: { ...plain, pairsShare: 1 } } }),
  };
  const skipped = new Map<string, string>();
  /** Several threads, and the held-out part, may find the same record. */
  const skip = ({ set, row, why }: Skipped) => skipped.set(`${set}#${row}`, `${set}: ${why}`);
  const { sets, worlds } = await openSources(data("train"), skip);
  checkWorlds(recipe, worlds);
  /** The user's own pairs that sheets show. */
  let shown: readonly ContextSource[] | undefined;
  const measured = leads ? kinds : {};
  const heldOut = HeldOut.prepare(measured, recipe.heldOutBatches, tokenizers, targetNll!, session, skip);
  // An error surfaces in evaluate().
  resources.defer(async () => (await heldOut.catch(() => undefined))?.release());
  heldOut.catch(() => {});
  // Broken data of the user's fail now, not at the first evaluation.
  if (hasPairs(recipe) || worlds.gathered) await heldOut;

  const parts = {
    config: { decoder, image: tokenizers.image.config, xprompt },
    text: tokenizers.text,
    preprocessing: tokenizers.preprocessing,
  };
  const imageWeights = await readWeights(folder, undefined, isOfImages);
  const { frozen } = state;
  const { averageFrom } = recipe;
  const average =
    averageFrom < 1
      ? new WeightAverage(state, Math.ceil(averageFrom * recipe.steps), AVERAGE_EVERY)
      : undefined;
  /** The weights that are measured and released. */
  const current = () => average?.weights() ?? state.weights();
  const trained = () => ({ config: adapter ?? {}, weights: current() });
  const merged = () => {
    if (frozen) return mergeAdapter(frozen.weights, trained());
    return codeFeatures ? mergeShared(current(), codeFeatures) : current();
  };
  const allWeights = () => new Map<string, Weight>([...merged(), ...imageWeights]);

  return {
    recipe,
    state,
    collective,
    memory: memory.bytes,
    extras: average?.extras ?? {},
    phases: [averageFrom, recipe.mix.ownCodesFrom],
    sets: [...sets, ...(worlds.gathered ? [worlds.gathered] : [])].map(({ digest }) => digest),
    skipped,
    unit: "tokens",
    batches: (from) =>
      new SampleStream({
        module: moduleBeside(import.meta.url, "data"),
        options: { ...data("train"), share: { rank: collective.rank, size: collective.size } },
        workers: recipe.workers,
        from,
      }),
    async step(batch, learningRate) {
      batch.skipped?.forEach(skip);
      const { loss, gradientNorm, report } = await steps.run(batch, state, learningRate, session);
      average?.update();
      const nll = await meanOver(collective, floats(report.targetNll!)[0]!, targetWeightOf(batch));
      const name = { changes: "nll", captions: "captionNll", descriptions: "wordsNll" }[batch.kind];
      return {
        metrics: { loss, gradientNorm, [name]: nll },
        units: collective.size * (exampleRows(batch.packing) + todoRows(batch.packing)),
      };
    },
    evaluate: async () => (await heldOut).measure(feedsOfWeights([...(frozen?.weights ?? []), ...current()])),
    async sheet() {
      if (!tokenizers.image.canDecode) return undefined;
      const model = await XPrompt.assemble(
        { ...parts, weights: allWeights(), checksum: "in training" },
        session,
      );
      try {
        shown ??= await openSets(data(hasPairs(recipe) ? "held out" : "train"));
        return await transformerSheet(model, recipe, `transformer, step ${state.step}`, shown);
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
        base: tokenizers.preprocessing && folder,
      });
    },
    close: () => resources.release(),
  };
}

/** A set as the threads that make contexts open it: a library has its vectors by then. */
async function prepared(set: TransformerRecipe["mix"]["pairs"][number]): Promise<Mix["pairs"][number]> {
  if (typeof set === "string") return isLibrary(set) ? prepareNeighbours({ library: set }) : set;
  return "library" in set ? prepareNeighbours(set) : set;
}

/** The recipe with the families of the prototypes that it holds out among those that it holds out. */
function withPrototypes(recipe: TransformerRecipe): TransformerRecipe {
  const { heldOut, heldOutPrototypes } = recipe.mix;
  const whole = knownFamilies.filter(({ prototype }) => heldOutPrototypes.includes(prototype));
  return {
    ...recipe,
    mix: { ...recipe.mix, heldOut: [...new Set([...heldOut, ...whole.map(({ name }) => name)])] },
  };
}

/** What a model says of its training: suites ask it which tasks it has seen. */
function trainingFacts({ mix }: TransformerRecipe): Record<string, readonly string[]> {
  const include = mix.families.length > 0 ? mix.families : undefined;
  const shown = selectFamilies({ include, exclude: mix.heldOut });
  const whole = mix.heldOutPrototypes;
  return {
    families: shown.map(({ name }) => name),
    held_out: mix.heldOut,
    ...(whole.length > 0 && { held_out_prototypes: whole }),
  };
}

/** Whether one of the families can do with scenes. */
const hasScenes = (names: readonly string[]): boolean =>
  selectFamilies().some(({ name }) => names.includes(name));

/** Whether there are pairs to measure on. */
const hasPairs = ({ mix }: TransformerRecipe): boolean => mix.pairs.length > 0 && mix.pairsHeldOut > 0;

/** @throws UsageError for missing pairs, or a weight of an unknown family */
function checkMix({ mix }: TransformerRecipe): void {
  for (const name of Object.keys(mix.weights)) checkName(name);
  if (mix.pairsRequired && mix.pairs.length === 0)
    throw new UsageError(
      "transformer recipe: mix.pairs: expected folders or files of pairs to train on, got none (add --mix.pairs=DIR)",
    );
}

/** @throws XPromptError when nothing is left to train on in one of the worlds */
function checkWorlds({ mix }: TransformerRecipe, worlds: Worlds): void {
  const include = mix.families.length > 0 ? mix.families : undefined;
  for (const name of worldNames.filter((each) => mix.worlds[each] > 0)) {
    const families = familiesOf(worlds, name);
    if (selectFamilies({ include, exclude: mix.heldOut }, families).length === 0)
      throw new XPromptError(
        `transformer recipe: mix.heldOut: expected to leave at least one family of ${name} to train on, got all of them`,
      );
  }
}
