/**
 * @file Training of the transformer on packed contexts: next-token cross-entropy of the TODO parts, given the XP tokens
 * of their examples (paper, section 3.2), with one weight per region and a z-loss.
 */
import { readWeights } from "../../chameleon/checkpoint/folder.ts";
import { CODEBOOK, isOfImages } from "../../chameleon/tokenizers/image-tokenizer.ts";
import { XPromptError } from "../../errors.ts";
import { Graph, parameterShapes, type Tensor } from "../../graph/index.ts";
import { buildWith, type Resources } from "../../runtime/resources.ts";
import { floats, type Value } from "../../runtime/session.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import { exampleRows, todoRows } from "../../xprompt/packing.ts";
import { alone, type Collective, meanOver, partOf } from "../distributed/collective.ts";
import { trainingMemory } from "../run/memory.ts";
import type { StepResult } from "../run/step.ts";
import type { StepOutcome, TrainingTask } from "../run/task.ts";
import { tokenizersDigest } from "../tokenized/manifest.ts";
import { codesShown } from "./contexts.ts";
import { type PackedBatch, packingOf, possibleShapes } from "./data.ts";
import { tokenVectors } from "./expected-error.ts";
import { HeldOut } from "./held-out.ts";
import { objective, targetWeightOf } from "./objective.ts";
import { checkMix, heldOutWindows, windowsOf, withPrototypes } from "./parts.ts";
import { Product } from "./product.ts";
import type { TransformerRecipe } from "./recipe.ts";
import { type Layout, RunData } from "./run-data.ts";
import { transformerSheet } from "./sheet.ts";
import { initialState, type Sequences, type Start, startOf } from "./start.ts";
import { TransformerSteps } from "./steps.ts";

/** Prepares the training task of a recipe, for one of the processes that share its batches. */
export function transformerTask(
  recipe: TransformerRecipe,
  collective: Collective = alone,
): Promise<TrainingTask<PackedBatch>> {
  return buildWith((resources) => prepareTransformer(withPrototypes(recipe), resources, collective));
}

async function prepareTransformer(
  recipe: TransformerRecipe,
  resources: Resources,
  collective: Collective,
): Promise<TrainingTask<PackedBatch>> {
  const counts = ownCounts(recipe, collective);
  const device: SessionOptions = { threads: recipe.threads, device: recipe.device };
  checkMix(recipe);
  const start = await startOf(recipe, device);
  const { folder, tokenizers, xprompt, config } = start;
  resources.own(tokenizers.image);
  checkWindow(recipe, start);
  const layout = { xprompt, weights: recipe.loss, wholePictures: config.wholePictures !== undefined };
  const { graph, targetNll } = measuredLoss(recipe, start, layout);
  const state = initialState(start, parameterShapes(graph), recipe);
  const imageWeights = await readWeights(folder, undefined, isOfImages);
  const digest = tokenizersDigest(imageWeights, tokenizers);
  const sequences: Sequences = { folder, tokenizers, xprompt };
  const data = resources.own(await RunData.open(recipe, sequences, layout, digest));
  const { zLoss, expected } = recipe.loss;
  const { vocabulary } = tokenizers.text;
  const vectors = expected > 0 ? tokenVectors(imageWeights.get(CODEBOOK)!, vocabulary) : undefined;
  const steps = resources.own(
    new TransformerSteps({
      shapes: possibleShapes({ ...recipe, ...layout, mix: data.mix, ...counts }, tokenizers.image),
      config,
      recipe,
      isTrained: (name) => state.parameters.has(name),
      imageTokens: vocabulary.imageTokens,
      terms: { zLoss, ...(vectors && { expected: { weight: expected, vectors } }) },
      collective,
    }),
  );
  const memory = await trainingMemory(recipe, state.bytes + steps.exchanged, steps.bytes);
  const session = { ...device, arena: memory.arena };
  const { digests, isOwn } = await data.check();
  const heldOutOf = async () =>
    HeldOut.prepare(await data.heldOut(), data.options("held out"), tokenizers, targetNll, session);
  // Of several processes, one evaluates.
  const heldOut = collective.rank === 0 ? heldOutOf() : undefined;
  // Errors surface in evaluate().
  resources.defer(async () => (await heldOut?.catch(() => undefined))?.release());
  heldOut?.catch(() => {});
  // Fail now on broken user data, not at the first evaluation.
  if (isOwn) await heldOut;
  const product = new Product(recipe, state, start, imageWeights);
  const { averageFrom, mix } = recipe;

  return {
    recipe,
    state,
    collective,
    memory: memory.bytes,
    extras: product.average?.extras ?? {},
    phases: [averageFrom, ...(mix.scheduledSampling > 0 ? [mix.scheduledSamplingFrom] : [])],
    inputs: { sets: digests, models: [digest, ...(product.mixedIn ? [product.mixedIn] : [])] },
    skipped: data.skipped,
    unit: "tokens",
    batches: (from) => data.batches(from, collective),
    async step(batch, learningRate) {
      batch.skipped?.forEach(data.skip);
      const result = await steps.run(batch, state, learningRate, session);
      product.average?.update();
      return outcomeOf(batch, result, collective);
    },
    evaluate: async () => (await heldOut)!.measure(product.feeds()),
    async sheet() {
      if (!tokenizers.image.canDecode) return undefined;
      const model = await product.assemble(session);
      try {
        const title = `transformer, step ${state.step}`;
        return await transformerSheet(model, recipe, title, await data.pairsOfSheets());
      } finally {
        await model.release();
      }
    },
    release: (path) => product.write(path),
    close: () => resources.release(),
  };
}

/** How many contexts of each step are this process's. */
function ownCounts(recipe: TransformerRecipe, collective: Collective) {
  const windows = windowsOf(recipe);
  const { length: contexts } = partOf(recipe.contexts, collective, "contexts");
  if (!windows) return { contexts };
  const ofWindows = partOf(windows.contexts, collective, "windowContexts").length;
  return { contexts, windows: { ...windows, contexts: ofWindows } };
}

/** @throws XPromptError for a window that is larger than the pictures */
function checkWindow({ window }: TransformerRecipe, { tokenizers: { image } }: Start): void {
  if (codesShown(image, window) > image.codesPerImage)
    throw new XPromptError(
      `transformer recipe: window: expected at most ${Math.sqrt(image.codesPerImage)} codes per side, as the pictures have, got ${window}`,
    );
}

/** The graph of the loss on held-out contexts, which have one example each. */
function measuredLoss(
  recipe: TransformerRecipe,
  { tokenizers, config }: Start,
  layout: Layout,
): { readonly graph: Graph; readonly targetNll: Tensor } {
  const graph = new Graph();
  const codes = codesShown(tokenizers.image, heldOutWindows(recipe)?.side);
  const { zLoss } = recipe.loss;
  const { report } = objective(graph, packingOf({ ...recipe, ...layout }, 1, codes), config, { zLoss });
  return { graph, targetNll: report!.targetNll! };
}

/** The metrics of a step: means over the batches of all processes. */
async function outcomeOf(
  batch: PackedBatch,
  { loss, gradientNorm, report: { targetNll, expectedError } }: StepResult,
  collective: Collective,
): Promise<StepOutcome> {
  const mean = (of: Value) => meanOver(collective, floats(of)[0]!, targetWeightOf(batch));
  const name = { changes: "nll", captions: "captionNll", descriptions: "wordsNll" }[batch.kind];
  // 0 only where no code is measured: if all captions of a batch are in words.
  const nll = await mean(targetNll!);
  return {
    metrics: {
      loss,
      gradientNorm,
      ...(nll > 0 && { [name]: nll }),
      ...(expectedError && batch.kind === "changes" && { expectedError: await mean(expectedError) }),
    },
    units: collective.size * (exampleRows(batch.packing) + todoRows(batch.packing)),
  };
}
