/**
 * @file Training of the transformer on packed contexts: next-token cross-entropy of the TODO parts, given the XP tokens
 * of their examples (paper, section 3.2), with one weight per region and a z-loss.
 */
import { readWeights } from "../../chameleon/checkpoint/folder.ts";
import { CODEBOOK, isOfImages } from "../../chameleon/tokenizers/image-tokenizer.ts";
import { XPromptError } from "../../errors.ts";
import { Graph, parameterShapes } from "../../graph/index.ts";
import { buildWith, type Resources } from "../../runtime/resources.ts";
import { floats, type Value } from "../../runtime/session.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import { moduleBeside } from "../../runtime/threads.ts";
import type { Skipped } from "../../tasks/datasets/index.ts";
import { exampleRows, todoRows } from "../../xprompt/packing.ts";
import { alone, type Collective, meanOver, partOf } from "../distributed/collective.ts";
import { trainingMemory } from "../run/memory.ts";
import type { TrainingTask } from "../run/task.ts";
import { SampleStream } from "../run/workers.ts";
import { tokenizersDigest } from "../tokenized/manifest.ts";
import { openTokenized } from "../tokenized/open.ts";
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
  heldOutWindows,
  preparedMix,
  windowsOf,
  withPrototypes,
} from "./parts.ts";
import { Product } from "./product.ts";
import type { TransformerRecipe } from "./recipe.ts";
import { transformerSheet } from "./sheet.ts";
import { initialState, type Sequences, startOf } from "./start.ts";
import { TransformerSteps } from "./steps.ts";

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
  const windows = windowsOf(recipe);
  const ownWindows = windows && {
    ...windows,
    contexts: partOf(windows.contexts, collective, "windowContexts").length,
  };
  const leads = collective.rank === 0;
  const device: SessionOptions = { threads: recipe.threads, device: recipe.device };
  checkMix(recipe);
  const start = await startOf(recipe, device);
  const { folder, tokenizers, xprompt, config } = start;
  const sequences: Sequences = { folder, tokenizers, xprompt };
  resources.own(tokenizers.image);
  const graph = new Graph();
  // Held-out contexts have one example each.
  if (codesShown(tokenizers.image, windows?.side) > tokenizers.image.codesPerImage)
    throw new XPromptError(
      `transformer recipe: window: expected at most ${Math.sqrt(tokenizers.image.codesPerImage)} codes per side, as the pictures have, got ${windows?.side}`,
    );
  const seen = { xprompt, weights: recipe.loss, wholePictures: config.wholePictures !== undefined };
  const packing = packingOf(
    { ...recipe, ...seen },
    1,
    codesShown(tokenizers.image, heldOutWindows(recipe)?.side),
  );
  const { zLoss, expected: weight } = recipe.loss;
  const { targetNll } = objective(graph, packing, config, { zLoss }).report!;
  const state = initialState(start, parameterShapes(graph), recipe);

  const imageWeights = await readWeights(folder, undefined, isOfImages);
  const { vocabulary } = tokenizers.text;
  const digest = tokenizersDigest(imageWeights, tokenizers);
  const tokens = await openTokenized(recipe, sequences, digest);
  const mix = tokens ? { ...recipe.mix, pairs: [] } : await preparedMix(recipe);
  const isTrained = (name: string) => state.parameters.has(name);
  const steps = resources.own(
    new TransformerSteps({
      shapes: possibleShapes({ ...recipe, ...seen, mix, contexts, windows: ownWindows }, tokenizers.image),
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
    ...contextSettings(recipe, mix, sequences, part),
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
      : await heldOutContexts(heldOutParts(recipe, mix, sequences), recipe.heldOutBatches, tokenizers, skip);
    return HeldOut.prepare(contexts, data("held out"), tokenizers, targetNll!, session);
  };
  // Of several processes, one evaluates.
  const heldOut = leads ? heldOutOf() : undefined;
  // Errors surface in evaluate().
  resources.defer(async () => (await heldOut?.catch(() => undefined))?.release());
  heldOut?.catch(() => {});
  // Fail now on broken user data, not at the first evaluation.
  if (tokens || hasPairs(recipe) || sources?.worlds.gathered) await heldOut;

  const product = new Product(recipe, state, start, imageWeights);
  const {
    averageFrom,
    mix: { scheduledSampling, scheduledSamplingFrom },
  } = recipe;

  return {
    recipe,
    state,
    collective,
    memory: memory.bytes,
    extras: product.average?.extras ?? {},
    phases: [averageFrom, ...(scheduledSampling > 0 ? [scheduledSamplingFrom] : [])],
    inputs: {
      sets: sources ? digestsOf(sources) : [tokens!.digest],
      models: [digest, ...(product.mixedIn ? [product.mixedIn] : [])],
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
      product.average?.update();
      const reported = (of: Value) => meanOver(collective, floats(of)[0]!, targetWeightOf(batch));
      const name = { changes: "nll", captions: "captionNll", descriptions: "wordsNll" }[batch.kind];
      const { targetNll, expectedError } = report;
      // 0 only where no code is measured: if all captions of a batch are in words.
      const nll = await reported(targetNll!);
      return {
        metrics: {
          loss,
          gradientNorm,
          ...(nll > 0 && { [name]: nll }),
          ...(expectedError && batch.kind === "changes" && { expectedError: await reported(expectedError) }),
        },
        units: collective.size * (exampleRows(batch.packing) + todoRows(batch.packing)),
      };
    },
    evaluate: async () => (await heldOut)!.measure(product.feeds()),
    async sheet() {
      if (!tokenizers.image.canDecode) return undefined;
      const model = await product.assemble(session);
      try {
        shown ??= tokens ? [] : await openSets(data(hasPairs(recipe) ? "held out" : "train"));
        return await transformerSheet(model, recipe, `transformer, step ${state.step}`, shown);
      } finally {
        await model.release();
      }
    },
    release: (path) => product.write(path),
    close: () => resources.release(),
  };
}
