/**
 * @file Training the image tokenizer: reconstruction, codebook and commitment losses (VQ-VAE,
 * https://arxiv.org/abs/1711.00937), and revival of codes that nothing is mapped to.
 */
import { z } from "zod";
import { vqganToJson } from "../chameleon/config.ts";
import { type Weight, writeModelFolder } from "../chameleon/folder.ts";
import { fromPlanes, ImageTokenizer, VQ_PREFIX } from "../chameleon/image-tokenizer.ts";
import { trainBpe } from "../chameleon/train-bpe.ts";
import { decoder, encoder, gridSide, quantize, type VqganConfig } from "../chameleon/vqgan.ts";
import {
  abs,
  add,
  embedding,
  Graph,
  mean,
  multiply,
  parameterShapes,
  reshape,
  slice,
  stopGradient,
  subtract,
  type Tensor,
  transpose,
} from "../graph/index.ts";
import { contactSheet, type Image } from "../image/index.ts";
import { Random } from "../random.ts";
import { buildWith, type Resources } from "../runtime/resources.ts";
import { float32, floats, int64, type Value } from "../runtime/session.ts";
import { caption, drawScene, selectFamilies } from "../tasks/index.ts";
import { trainingMemory } from "./memory.ts";
import { recipeKind } from "./recipe.ts";
import { runSettings, type TrainingTask } from "./run.ts";
import type { TrainingState } from "./state.ts";
import { type Objective, TrainingStep } from "./step.ts";
import { createSource, type PictureBatch, type PictureOptions } from "./tokenizer-data.ts";
import { CODEBOOK, initialState, startOf } from "./tokenizer-start.ts";
import { moduleBeside, SampleStream } from "./workers.ts";

export const tokenizerRecipe = recipeKind(
  "tokenizer",
  z.strictObject({
    ...runSettings,
    /** Model name or folder whose tokenizers to start from, which has its sizes; drawn at random without. */
    init: z.string().optional(),
    /**
     * What is trained: all of it; or, of tokenizers whose codes a transformer has learned, the networks around a
     * codebook that stays ("codec"), or the way back from codes to pictures alone ("decoder").
     */
    train: z.enum(["all", "codec", "decoder"]).default("all"),
    /** Pictures a step. */
    batch: z.int().min(2).default(16),
    /** Share of the pictures that are collages of two others: what stays the same in them is to get the same codes. */
    collages: z.number().min(0).max(0.75).default(0),
    /** Sizes of tokenizers that start from nothing; `encoderTile` of others, too. */
    model: z
      .strictObject({
        resolution: z.int().min(16).default(64),
        baseChannels: z.int().min(1).default(16),
        channelMultiplier: z.array(z.int().min(1)).min(1).default([1, 2, 4, 4]),
        residualBlocks: z.int().min(1).default(1),
        latentChannels: z.int().min(1).default(32),
        embedDim: z.int().min(1).default(16),
        codes: z.int().min(2).default(1024),
        normGroups: z.int().min(1).default(8),
        /** Side in pixels of the tiles that the encoder sees by themselves. Defaults to the whole picture, or to what `init` has. */
        encoderTile: z.int().min(1).optional(),
      })
      .prefault({}),
    loss: z
      .strictObject({
        /** Weights of the mean absolute and mean squared error, in units of [−1, 1]. */
        absolute: z.number().min(0).default(0.5),
        squared: z.number().min(0).default(1),
        /** Weight of the absolute error between neighbouring pixels' differences: keeps edges sharp. */
        edges: z.number().min(0).default(0.25),
        /** Pull of the encoder towards its codes; the codes' pull towards the encoder is 1. */
        commitment: z.number().min(0).default(0.25),
        /** Pull between the encoder's vectors of cells that look the same in two pictures. */
        constancy: z.number().min(0).default(0),
      })
      .prefault({}),
    /** The text tokenizer, learned from the words of the tasks. */
    text: z
      .strictObject({
        /** Tokens beyond the 256 bytes, at most. */
        merges: z.int().min(0).default(768),
        /** Rows of the vocabulary kept for XP: the most that a model with this tokenizer can use. */
        xpTokens: z.int().min(1).default(64),
        /** Tasks whose words are read. */
        tasks: z.int().min(1).default(1000),
      })
      .prefault({}),
    /** Steps between revivals: codes unused since the last one move to vectors of the encoder. */
    reviveEvery: z.int().min(1).default(50),
    /** Share of all steps after which nothing is revived any more. */
    reviveUntil: z.number().min(0).max(1).default(0.75),
  }),
);
export type TokenizerRecipe = ReturnType<typeof tokenizerRecipe>;

const HELD_OUT_BATCHES = 4;

/** Pictures that went through the image tokenizer, and which of their cells look the same. */
interface Reconstruction extends Pick<PictureBatch, "twins"> {
  readonly images: readonly Image[];
  readonly codes: readonly Int32Array[];
  readonly copies: readonly Image[];
}

/** Makes a run of the recipe ready. */
export function tokenizerTask(recipe: TokenizerRecipe): Promise<TrainingTask<PictureBatch>> {
  return buildWith((resources) => prepareTokenizer(recipe, resources));
}

async function prepareTokenizer(
  recipe: TokenizerRecipe,
  resources: Resources,
): Promise<TrainingTask<PictureBatch>> {
  const start = await startOf(recipe);
  const { config } = start;
  const shape = [recipe.batch, 3, config.resolution, config.resolution];
  const build = (graph: Graph) => objective(graph, shape, config, recipe);
  const graph = new Graph();
  build(graph);
  const state = initialState(start, parameterShapes(graph), recipe);
  const allWeights = () => new Map<string, Weight>([...(state.frozen?.weights ?? []), ...state.weights()]);
  const isTrained = (name: string) => state.parameters.has(name);
  const plan = TrainingStep.plan(build, recipe.optimizer, isTrained);
  const memory = await trainingMemory(recipe, state.bytes, [plan.bytes]);
  const session = { threads: recipe.threads, device: recipe.device, arena: memory.arena };
  resources.own(plan);
  const compiled = await plan.compile(session);
  /** How often each code was used since the last revival. */
  const usage = new Float32Array(config.codes);
  const data = (part: PictureOptions["part"]): PictureOptions => ({
    seed: recipe.seed,
    part,
    batch: recipe.batch,
    size: config.resolution,
    grid: gridSide(config),
    collages: recipe.collages,
  });
  const heldOut = Array.from({ length: HELD_OUT_BATCHES }, (_, i) => createSource(data("held out"))(i));
  const reviveBefore = isTrained(CODEBOOK) ? recipe.steps * recipe.reviveUntil : 0;

  /** Held-out batches through the tokenizer as it is now. */
  const reconstruct = async (batches: readonly PictureBatch[]): Promise<Reconstruction[]> => {
    const tokenizer = new ImageTokenizer(config, allWeights(), session);
    try {
      const reconstructions: Reconstruction[] = [];
      for (const { pictures, twins } of batches) {
        const images = fromPlanes(pictures, config.resolution);
        const codes = await tokenizer.encode(images);
        reconstructions.push({ images, codes, copies: await tokenizer.decode(codes), twins });
      }
      return reconstructions;
    } finally {
      await tokenizer.release();
    }
  };

  return {
    recipe,
    state,
    memory: memory.bytes,
    extras: { usage },
    unit: "pictures",
    batches: (from) =>
      new SampleStream({
        module: moduleBeside(import.meta.url, "tokenizer-data"),
        options: data("train"),
        workers: recipe.workers,
        from,
      }),
    async step({ pictures, twins }, learningRate) {
      const feeds = { pictures: float32(pictures, shape), twins: int64(twins, [twins.length]) };
      const { loss, gradientNorm, report } = await compiled.run(state, feeds, learningRate);
      for (const code of report.codes!.data as BigInt64Array) usage[Number(code)]! += 1;
      const used = usage.reduce((count, times) => count + Math.min(times, 1), 0);
      if (state.step % recipe.reviveEvery === 0 && state.step <= reviveBefore) {
        revive(state, usage, floats(report.latents!), Random.of(recipe.seed, "revive", state.step));
        usage.fill(0);
      }
      const squaredError = floats(report.squaredError as Value)[0]!;
      return {
        metrics: { loss, gradientNorm, psnr: psnrOf(squaredError), usedCodes: used },
        units: recipe.batch,
      };
    },
    async evaluate() {
      const used = new Set<number>();
      let [error, count] = [0, 0];
      let [kept, twinned] = [0, 0];
      for (const { images, codes, copies, twins } of await reconstruct(heldOut)) {
        const cells = codes.flatMap((row) => [...row]);
        for (const [cell, twin] of twins.entries()) {
          if (Number(twin) === cell) continue;
          twinned++;
          if (cells[cell] === cells[Number(twin)]) kept++;
        }
        for (const code of codes.flatMap((row) => [...row])) used.add(code);
        for (const [i, image] of images.entries())
          for (const [j, value] of image.data.entries()) error += (value - copies[i]!.data[j]!) ** 2;
        count += images.length * 3 * config.resolution ** 2;
      }
      return { psnr: -10 * Math.log10(error / count), usedCodes: used.size, keptCodes: kept / twinned };
    },
    async sheet() {
      const [{ images, copies }] = (await reconstruct(heldOut.slice(0, 1))) as [Reconstruction];
      const shown = images.slice(0, 16).map((image, i) => ({ image, copy: copies[i]! }));
      const rows = [shown.slice(0, 8), shown.slice(8)].flatMap((part) => [
        { label: "picture", cells: part.map(({ image }) => ({ image })) },
        { label: "decoded", cells: part.map(({ copy }) => ({ image: copy })) },
      ]);
      return contactSheet(rows, { scale: 2, title: `image tokenizer, step ${state.step}` });
    },
    release: (folder) =>
      writeModelFolder(folder, {
        config: { model_type: "chameleon_tokenizers", vq_config: vqganToJson(config) },
        weights: allWeights(),
        tokenizer:
          start.tokenizer ?? trainBpe(taskTexts(recipe), { ...recipe.text, imageCodes: config.codes }),
      }),
    close: () => resources.release(),
  };
}

/** Peak signal-to-noise ratio in dB, from the mean squared error of values in [−1, 1]. */
const psnrOf = (squaredError: number): number => -10 * Math.log10(squaredError / 4);

function objective(
  graph: Graph,
  shape: readonly number[],
  config: VqganConfig,
  { batch, loss: weigh }: TokenizerRecipe,
): Objective {
  const w = graph.scope().at(VQ_PREFIX);
  const pictures = graph.input("pictures", "float32", shape);
  const { codes, vectors, latents } = quantize(w, encoder(w, pictures, config), config);
  const passed = add(latents, stopGradient(subtract(vectors, latents)));
  const side = gridSide(config);
  const grid = transpose(reshape(passed, [batch, side, side, config.embedDim]), [0, 3, 1, 2]);
  const decoded = decoder(w, grid, config);

  const error = subtract(decoded, pictures);
  const squaredError = meanSquare(error);
  const edges = add(meanOf(abs(neighbours(error, 2))), meanOf(abs(neighbours(error, 3))));
  const towardsLatents = meanSquare(subtract(vectors, stopGradient(latents)));
  const towardsCodes = meanSquare(subtract(latents, stopGradient(vectors)));
  const twins = graph.input("twins", "int64", [batch * side * side]);
  const towardsTwins = meanSquare(subtract(latents, embedding(twins, latents)));
  const loss = [
    multiply(meanOf(abs(error)), weigh.absolute),
    multiply(squaredError, weigh.squared),
    multiply(edges, weigh.edges),
    towardsLatents,
    multiply(towardsCodes, weigh.commitment),
    multiply(towardsTwins, weigh.constancy),
  ].reduce(add);
  return { loss, report: { squaredError, codes, latents } };
}

const meanOf = (x: Tensor): Tensor => mean(x, undefined, { keep: false });
const meanSquare = (x: Tensor): Tensor => meanOf(multiply(x, x));

/** Differences between neighbours along an axis. */
function neighbours(x: Tensor, axis: number): Tensor {
  const size = x.shape[axis] as number;
  return subtract(slice(x, axis, 1, size), slice(x, axis, 0, size - 1));
}

/** What the tasks say: instructions, differences and captions, drawn as in training. */
function taskTexts({ seed, text }: TokenizerRecipe): string[] {
  const families = selectFamilies();
  return Array.from({ length: text.tasks }, (_, i) => {
    const random = Random.of(seed, "texts", i);
    const { instruction, difference } = families[i % families.length]!.draw(random).pair(random, 8);
    return [instruction, difference, caption(drawScene(random), random)];
  }).flat();
}

/** Moves each unused code to a random vector of the encoder, and forgets its optimizer moments. */
function revive(state: TrainingState, usage: Float32Array, latents: Float32Array, random: Random): void {
  const [codes, width] = state.parameters.get(CODEBOOK)! as [number, number];
  const [vectors, mean, variance] = (["parameter", "mean", "variance"] as const).map((role) =>
    state.values(CODEBOOK, role),
  );
  const rows = latents.length / width;
  for (let code = 0; code < codes; code++) {
    if (usage[code]! > 0) continue;
    const row = random.integer(0, rows - 1) * width;
    vectors!.set(latents.subarray(row, row + width), code * width);
    mean!.fill(0, code * width, (code + 1) * width);
    variance!.fill(0, code * width, (code + 1) * width);
  }
}
