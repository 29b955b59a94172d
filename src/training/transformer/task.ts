/**
 * @file Training of the transformer on packed contexts: next-token cross-entropy of the TODO parts, given the XP tokens
 * of their examples (paper, section 3.2), with one weight per region and a z-loss.
 */
import { z } from "zod";
import { mergeAdapter, writeAdapterFolder } from "../../chameleon/checkpoint/adapter-folder.ts";
import { readWeights, type Weight, writeModelFolder } from "../../chameleon/checkpoint/folder.ts";
import { mergeShared } from "../../chameleon/model/shared-rows.ts";
import { isOfImages } from "../../chameleon/tokenizers/image-tokenizer.ts";
import { XPromptError } from "../../errors.ts";
import { Graph, parameterShapes } from "../../graph/index.ts";
import { readJson } from "../../runtime/files.ts";
import { buildWith, type Resources } from "../../runtime/resources.ts";
import { floats, type Value } from "../../runtime/session.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import { moduleBeside } from "../../runtime/threads.ts";
import type { Skipped } from "../../tasks/datasets/index.ts";
import { modelConfigToJson } from "../../xprompt/config.ts";
import { XPrompt } from "../../xprompt/model.ts";
import { exampleRows, todoRows } from "../../xprompt/packing.ts";
import { alone, type Collective, meanOver, partOf } from "../distributed/collective.ts";
import { WeightAverage } from "../optimizer/average.ts";
import { mixedWithInitial } from "../optimizer/mixed.ts";
import { trainingMemory } from "../run/memory.ts";
import { feedsOfWeights } from "../run/state.ts";
import type { TrainingTask } from "../run/task.ts";
import { SampleStream } from "../run/workers.ts";
import { tokenizersDigest } from "../tokenized/manifest.ts";
import { openTokenized } from "../tokenized/open.ts";
import { CODEBOOK } from "../tokenizer/start.ts";
import { type ContextSource, closeSets, codesShown, digestsOf, openSets, openSources } from "./contexts.ts";
import { type ContextOptions, type PackedBatch, packingOf, possibleShapes } from "./data.ts";
import { tokenVectors } from "./expected-error.ts";
import { HeldOut, heldOutContexts } from "./held-out.ts";
import { objective, targetWeightOf } from "./objective.ts";
import {
  checkMix,
  checkWorlds,
  contextSettings,
  hasPairs,
  heldOutParts,
  preparedMix,
  trainingFacts,
  withPrototypes,
} from "./parts.ts";
import type { TransformerRecipe } from "./recipe.ts";
import { transformerSheet } from "./sheet.ts";
import { initialState, startOf } from "./start.ts";
import { TransformerSteps } from "./steps.ts";

/** Steps between averaged states. */
const AVERAGE_EVERY = 5;

/** Prepares the training task of a recipe, for one of the processes that share its batches. */
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
  // Held-out contexts have one example each.
  const { window } = recipe;
  const codes = codesShown(tokenizers.image, window);
  if (codes > tokenizers.image.codesPerImage)
    throw new XPromptError(
      `transformer recipe: window: expected at most ${Math.sqrt(tokenizers.image.codesPerImage)} codes per side, as the pictures have, got ${window}`,
    );
  const seen = { xprompt, weights: recipe.loss, wholePictures: config.wholePictures !== undefined };
  const packing = packingOf({ ...recipe, ...seen }, 1, codes);
  const { zLoss, expected: weight } = recipe.loss;
  const { targetNll } = objective(graph, packing, config, { zLoss }).report!;
  const state = initialState(start, parameterShapes(graph), recipe);

  const imageWeights = await readWeights(folder, undefined, isOfImages);
  const { vocabulary } = tokenizers.text;
  const digest = tokenizersDigest(imageWeights, tokenizers);
  const tokens = await openTokenized(recipe, start, digest);
  const mix = tokens ? { ...recipe.mix, pairs: [] } : await preparedMix(recipe);
  const isTrained = (name: string) => state.parameters.has(name);
  const steps = resources.own(
    new TransformerSteps({
      shapes: possibleShapes({ ...recipe, ...seen, mix, contexts }, codes),
      config,
      recipe,
      isTrained,
      imageTokens: vocabulary.imageTokens,
      terms: {
        zLoss,
        ...(weight > 0 && {
          expected: { weight, vectors: tokenVectors(imageWeights.get(CODEBOOK)!, vocabulary) },
        }),
      },
      collective,
    }),
  );
  const memory = await trainingMemory(recipe, state.bytes + steps.exchanged, steps.bytes);
  const session = { ...device, arena: memory.arena };
  const data = (part: string): ContextOptions => ({
    ...contextSettings(recipe, mix, start, part),
    ...seen,
    ...(tokens && { tokenized: { place: tokens.place, digest: tokens.digest } }),
  });

  const skipped = new Map<string, string>();
  /** Keyed by record: several threads and the held-out part may find the same one. */
  const skip = ({ set, row, why }: Skipped) => skipped.set(`${set}#${row}`, `${set}: ${why}`);
  const sources = tokens ? undefined : await openSources(data("train"), skip);
  await closeSets(sources?.sets ?? []); // batches and held-out parts open their own
  if (sources) checkWorlds(recipe, sources.worlds);
  /** The user's pairs on contact sheets. */
  let shown: readonly ContextSource[] | undefined;
  resources.defer(() => closeSets(shown ?? []));
  const heldOutOf = async () => {
    const contexts = tokens
      ? await tokens.heldOut(tokenizers)
      : await heldOutContexts(heldOutParts(recipe, mix, start), recipe.heldOutBatches, tokenizers, skip);
    return HeldOut.prepare(contexts, data("held out"), tokenizers, targetNll!, session);
  };
  // Of several processes, one evaluates.
  const heldOut = leads ? heldOutOf() : undefined;
  // Errors surface in evaluate().
  resources.defer(async () => (await heldOut?.catch(() => undefined))?.release());
  heldOut?.catch(() => {});
  // Fail now on broken user data, not at the first evaluation.
  if (tokens || hasPairs(recipe) || sources?.worlds.gathered) await heldOut;

  const parts = {
    config: { decoder, image: tokenizers.image.config, xprompt },
    text: tokenizers.text,
    preprocessing: tokenizers.preprocessing,
  };
  const { frozen } = state;
  const {
    averageFrom,
    initialShare,
    mix: { ownCodes, ownCodesFrom },
  } = recipe;
  const average =
    averageFrom < 1
      ? new WeightAverage(state, Math.ceil(averageFrom * recipe.steps), AVERAGE_EVERY)
      : undefined;
  /** The weights that are measured and released. */
  const current = () => {
    const weights = average?.weights() ?? state.weights();
    return initialShare > 0 && state.step >= recipe.steps
      ? mixedWithInitial(weights, start.base!.weights, initialShare)
      : weights;
  };
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
    phases: [averageFrom, ...(ownCodes > 0 ? [ownCodesFrom] : [])],
    inputs: {
      sets: sources ? digestsOf(sources) : [tokens!.digest],
      models: [digest, ...(initialShare > 0 ? [start.base!.checksum] : [])],
    },
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
      const reported = (of: Value) => meanOver(collective, floats(of)[0]!, targetWeightOf(batch));
      const name = { changes: "nll", captions: "captionNll", descriptions: "wordsNll" }[batch.kind];
      const { targetNll, expectedError } = report;
      return {
        metrics: {
          loss,
          gradientNorm,
          [name]: await reported(targetNll!),
          ...(expectedError && batch.kind === "changes" && { expectedError: await reported(expectedError) }),
        },
        units: collective.size * (exampleRows(batch.packing) + todoRows(batch.packing)),
      };
    },
    evaluate: async () =>
      (await heldOut)!.measure(feedsOfWeights([...(frozen?.weights ?? []), ...current()])),
    async sheet() {
      if (!tokenizers.image.canDecode) return undefined;
      const model = await XPrompt.assemble(
        { ...parts, weights: allWeights(), checksum: "in training" },
        session,
      );
      try {
        shown ??= tokens ? [] : await openSets(data(hasPairs(recipe) ? "held out" : "train"));
        return await transformerSheet(model, recipe, `transformer, step ${state.step}`, shown);
      } finally {
        await model.release();
      }
    },
    async release(path) {
      if (frozen && !recipe.merge)
        return writeAdapterFolder(path, trained(), { name: recipe.init!, checksum: start.base!.checksum });
      return writeModelFolder(path, {
        config: { ...modelConfigToJson(parts.config), training: trainingFacts(recipe, start.base?.families) },
        weights: allWeights(),
        tokenizer: await readJson(`${folder}/tokenizer.json`, z.unknown(), "tokenizer"),
        base: tokenizers.preprocessing && folder,
      });
    },
    close: () => resources.release(),
  };
}
