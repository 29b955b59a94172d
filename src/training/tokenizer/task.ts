/**
 * @file Training of the image tokenizer: reconstruction, codebook and commitment losses (VQ-VAE,
 * https://arxiv.org/abs/1711.00937), and dead-code restarts.
 */
import { TOKENIZERS_ONLY, vqganToJson } from "../../chameleon/checkpoint/config.ts";
import { type Weight, writeModelFolder } from "../../chameleon/checkpoint/folder.ts";
import { CODEBOOK, ImageTokenizer, VQ_PREFIX } from "../../chameleon/tokenizers/image-tokenizer.ts";
import { trainBpe } from "../../chameleon/tokenizers/train-bpe.ts";
import { decoder, encoder, gridSide, quantize, type VqganConfig } from "../../chameleon/tokenizers/vqgan.ts";
import { UsageError } from "../../errors.ts";
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
} from "../../graph/index.ts";
import { psnrOf } from "../../numbers.ts";
import { Random } from "../../random.ts";
import { buildWith, type Resources } from "../../runtime/resources.ts";
import { float32, floats, int64, type Value } from "../../runtime/session.ts";
import { moduleBeside } from "../../runtime/threads.ts";
import { caption, drawScene, familiesOf, openWorlds } from "../../tasks/index.ts";
import { alone, type Collective, gather, meanOver, partOf } from "../distributed/collective.ts";
import { StepPlanner } from "../distributed/step.ts";
import { trainingMemory } from "../run/memory.ts";
import type { TrainingState } from "../run/state.ts";
import type { Objective } from "../run/step.ts";
import type { TrainingTask } from "../run/task.ts";
import { SampleStream } from "../run/workers.ts";
import { type PictureBatch, type PictureOptions, pictureOptions } from "./data.ts";
import type { TokenizerRecipe } from "./recipe.ts";
import { HeldOutPictures } from "./round-trips.ts";
import { initialState, startOf, VALUE_RANGE } from "./start.ts";

/** Prepares the training task of a recipe, for one of the processes that share its batches. */
export function tokenizerTask(
  recipe: TokenizerRecipe,
  collective: Collective = alone,
): Promise<TrainingTask<PictureBatch>> {
  return buildWith((resources) => prepareTokenizer(recipe, resources, collective));
}

async function prepareTokenizer(
  recipe: TokenizerRecipe,
  resources: Resources,
  collective: Collective,
): Promise<TrainingTask<PictureBatch>> {
  const { length: batch } = partOf(recipe.batch, collective, "batch");
  checkShared(recipe, collective);
  const { gathered } = openWorlds(recipe, "train");
  const leads = collective.rank === 0;
  const start = await startOf(recipe, { quiet: !leads });
  const { config } = start;
  const shape = [batch, 3, config.resolution, config.resolution];
  const build = (graph: Graph) => objective(graph, shape, config, recipe.loss);
  const graph = new Graph();
  build(graph);
  const state = initialState(start, parameterShapes(graph), recipe);
  const allWeights = () => new Map<string, Weight>([...(state.frozen?.weights ?? []), ...state.weights()]);
  const isTrained = (name: string) => state.parameters.has(name);
  const planner = resources.own(new StepPlanner(recipe.optimizer, collective));
  const plan = planner.plan(build, isTrained);
  const memory = await trainingMemory(recipe, state.bytes + planner.exchanged, [planner.bytes]);
  const session = { threads: recipe.threads, device: recipe.device, arena: memory.arena };
  const compiled = await plan.compile(session);
  /** Uses of each code since the last restart. */
  const usage = new Float32Array(config.codes);
  /** Other processors would round it differently, so checkpoints store it. */
  const codebook = recipe.init === undefined && state.frozen?.weights.get(CODEBOOK)?.data;
  const data = (part: PictureOptions["part"]) => pictureOptions(recipe, config, part);
  // Of several processes, one evaluates.
  const heldOut = leads ? new HeldOutPictures(data("held out")) : undefined;
  const restartsUntil = isTrained(CODEBOOK) ? recipe.steps * recipe.restartUntil : 0;

  /** Works with the tokenizer of the current weights. */
  const withTokenizer = async <T>(work: (tokenizer: ImageTokenizer) => Promise<T>): Promise<T> => {
    const tokenizer = new ImageTokenizer(config, allWeights(), session);
    try {
      return await work(tokenizer);
    } finally {
      await tokenizer.release();
    }
  };

  return {
    recipe,
    state,
    collective,
    memory: memory.bytes,
    extras: { usage, ...(codebook && { codebook }) },
    phases: isTrained(CODEBOOK) ? [recipe.restartUntil] : [],
    inputs: { sets: gathered ? [gathered.digest] : [] },
    unit: "pictures",
    batches: (from) =>
      new SampleStream({
        module: moduleBeside(import.meta.url, "data"),
        options: { ...data("train"), share: { rank: collective.rank, size: collective.size } },
        workers: recipe.workers,
        from,
      }),
    async step({ pictures, matches }, learningRate) {
      const feeds = {
        pictures: float32(pictures, shape),
        ...(!config.patches && { matches: int64(matches, [matches.length]) }),
      };
      const { loss, gradientNorm, report } = await compiled.run(state, feeds, learningRate, batch);
      const uses = new Float32Array(config.codes);
      for (const code of report.codes!.data as BigInt64Array) uses[Number(code)]! += 1;
      await collective.allReduce(uses);
      for (const [code, times] of uses.entries()) usage[code]! += times;
      const used = usage.reduce((count, times) => count + Math.min(times, 1), 0);
      if (state.step % recipe.restartEvery === 0 && state.step <= restartsUntil) {
        const latents = await gather(collective, floats(report.latents!));
        restartDeadCodes(state, usage, latents, Random.of(recipe.seed, "revive", state.step));
        usage.fill(0);
      }
      const squaredError = await meanOver(collective, floats(report.squaredError as Value)[0]!, batch);
      return {
        metrics: { loss, gradientNorm, psnr: psnrOf(squaredError, VALUE_RANGE), usedCodes: used },
        units: recipe.batch,
      };
    },
    evaluate: () => withTokenizer((tokenizer) => heldOut!.figures(tokenizer)),
    sheet: () =>
      withTokenizer((tokenizer) => heldOut!.sheet(tokenizer, `image tokenizer, step ${state.step}`)),
    release: (folder) =>
      writeModelFolder(folder, {
        config: { model_type: TOKENIZERS_ONLY, vq_config: vqganToJson(config) },
        weights: allWeights(),
        tokenizer:
          start.tokenizer ?? trainBpe(taskTexts(recipe), { ...recipe.text, imageCodes: config.codes }),
      }),
    close: () => resources.release(),
  };
}

/** @throws UsageError when the loss compares pictures of different processes */
function checkShared({ loss }: TokenizerRecipe, { size }: Collective): void {
  if (size > 1 && loss.constancy > 0)
    throw new UsageError(
      `tokenizer recipe: loss.constancy: expected 0 in ${size} processes, got ${loss.constancy}: it compares pictures of the whole batch (train in one process)`,
    );
}

function objective(
  graph: Graph,
  shape: readonly number[],
  config: VqganConfig,
  weigh: TokenizerRecipe["loss"],
): Objective {
  const batch = shape[0]!;
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
  const reconstruction = [
    multiply(meanOf(abs(error)), weigh.absolute),
    multiply(squaredError, weigh.squared),
    multiply(edges, weigh.edges),
  ];
  const report = { squaredError, codes, latents };
  if (config.patches) return { loss: reconstruction.reduce(add), report };
  const towardsLatents = meanSquare(subtract(vectors, stopGradient(latents)));
  const towardsCodes = meanSquare(subtract(latents, stopGradient(vectors)));
  const matches = graph.input("matches", "int64", [batch * side * side]);
  const towardsMatches = meanSquare(subtract(latents, embedding(matches, latents)));
  const quantization = [
    towardsLatents,
    multiply(towardsCodes, weigh.commitment),
    multiply(towardsMatches, weigh.constancy),
  ];
  return { loss: [...reconstruction, ...quantization].reduce(add), report };
}

const meanOf = (x: Tensor): Tensor => mean(x, undefined, { keep: false });
const meanSquare = (x: Tensor): Tensor => meanOf(multiply(x, x));

/** Differences between neighbouring values along an axis. */
function neighbours(x: Tensor, axis: number): Tensor {
  const size = x.shape[axis] as number;
  return subtract(slice(x, axis, 1, size), slice(x, axis, 0, size - 1));
}

/** Samples the texts of the tasks: instructions, differences and captions. */
function taskTexts({ seed, text, ...settings }: TokenizerRecipe): string[] {
  const worlds = openWorlds(settings, "train");
  return Array.from({ length: text.tasks }, (_, i) => {
    const random = Random.of(seed, "texts", i);
    const world = worlds.draw(random);
    const families = familiesOf(worlds, world?.name);
    const { instruction, difference } = families[i % families.length]!.draw(random).pair(random, 8, world);
    const words = world ? (world.picture(random, 8).words ?? "") : caption(drawScene(random), random);
    return [instruction, difference, words];
  }).flat();
}

/** Moves each unused code to a random vector of the encoder, and resets its optimizer moments. */
function restartDeadCodes(
  state: TrainingState,
  usage: Float32Array,
  latents: Float32Array,
  random: Random,
): void {
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
