/** @file A byte-level language model, larger than nano, trained in a few minutes on this repository's text. */
import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type DecoderConfig, decoderToJson } from "../src/chameleon/checkpoint/config.ts";
import { decoderParameters } from "../src/chameleon/model/parameters.ts";
import { embed, head, headWidth, transformer } from "../src/chameleon/model/transformer.ts";
import {
  attention,
  divide,
  type Graph,
  reshape,
  rope,
  rotaryTables,
  sum,
  type Tensor,
  tokenLoss,
  transpose,
} from "../src/graph/index.ts";
import { Progress } from "../src/progress.ts";
import { Random } from "../src/random.ts";
import { writeSafetensors } from "../src/runtime/safetensors.ts";
import { int64 } from "../src/runtime/session.ts";
import { optimizerSchema } from "../src/training/optimizer/optimizer.ts";
import { learningRate } from "../src/training/optimizer/schedule.ts";
import { initialize, TrainingState } from "../src/training/run/state.ts";
import { type Objective, TrainingStep } from "../src/training/run/step.ts";
import { causalBias } from "../src/xprompt/packing.ts";

const repository = fileURLToPath(new URL("..", import.meta.url));

/** 10.8 million weights; nano has 7.7. */
export const textModel: DecoderConfig = {
  vocabularySize: 256,
  hiddenSize: 384,
  intermediateSize: 1024,
  layers: 6,
  heads: 6,
  keyValueHeads: 6,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 10_000 },
  maxPositions: 128,
  swinNorm: false,
};
const SEQUENCES = 8;

/** The repository's text. One file in eight is held out. */
export async function repositoryText(): Promise<{ readonly train: Buffer; readonly heldOut: Buffer }> {
  const parts: Record<"train" | "heldOut", Buffer[]> = { train: [], heldOut: [] };
  let count = 0;
  for (const folder of ["src", "test", "docs", "bench", "examples"])
    for (const name of (await readdir(join(repository, folder), { recursive: true })).sort())
      if (/\.(ts|md)$/.test(name))
        parts[count++ % 8 === 0 ? "heldOut" : "train"].push(await readFile(join(repository, folder, name)));
  return { train: Buffer.concat(parts.train), heldOut: Buffer.concat(parts.heldOut) };
}

/** Random excerpts of a text. */
export function excerpts(text: Buffer, count: number, length: number, random: Random): number[][] {
  return Array.from({ length: count }, () => {
    const start = random.integer(0, text.length - length - 1);
    return [...text.subarray(start, start + length)];
  });
}

/** Trains the model and writes its folder in float32. The tokenizer only completes the folder. */
export async function trainTextModel(
  folder: string,
  text: Buffer,
  options: { readonly steps: number; readonly threads: number; readonly tokenizer: string },
): Promise<void> {
  const { steps, threads } = options;
  const length = textModel.maxPositions;
  const state = new TrainingState(decoderParameters(textModel));
  initialize(
    state,
    (name) => Random.of(1, "text model", name),
    (name, shape) =>
      name.includes("norm")
        ? { constant: name.endsWith("bias") ? 0 : 1 }
        : { deviation: 0.5 / Math.sqrt(shape.at(-1)!) },
  );
  const settings = optimizerSchema.parse({
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-8,
    weightDecay: 0.05,
    clipNorm: 1,
  });
  const step = await TrainingStep.plan((graph) => nextByte(graph, SEQUENCES, length), settings).compile({
    threads,
  });
  const progress = new Progress({ label: "training on text", total: steps });
  const positions = Array.from({ length: SEQUENCES * length }, (_, i) => i % length);
  for (let i = 0; i < steps; i++) {
    const rows = excerpts(text, SEQUENCES, length + 1, Random.of(1, "text", i));
    const feeds = {
      tokens: int64(
        rows.flatMap((row) => row.slice(0, -1)),
        [SEQUENCES, length],
      ),
      positions: int64(positions, [SEQUENCES, length]),
      targets: int64(
        rows.flatMap((row) => row.slice(1)),
        [SEQUENCES * length],
      ),
    };
    const schedule = { shape: "wsd", warmup: 10, floor: 0.02, decay: 0.4 } as const;
    const { loss } = await step.run(state, feeds, learningRate(schedule, i, steps, 2e-3));
    progress.update(i + 1, { loss });
  }
  progress.stop();
  await step.release();
  await mkdir(folder, { recursive: true });
  const tensors = [...state.weights()].map(([name, { shape, data }]) => ({
    ...{ name, dtype: "F32" as const, shape, data },
  }));
  await writeSafetensors(join(folder, "model.safetensors"), tensors);
  const config = { model_type: "chameleon", ...decoderToJson(textModel), vq_config: {} };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  await cp(join(options.tokenizer, "tokenizer.json"), join(folder, "tokenizer.json"));
}

/** Mean of −log p(next byte). */
function nextByte(graph: Graph, batch: number, length: number): Objective {
  const { heads, rope: rotation } = textModel;
  const [rows, headDim] = [batch * length, headWidth(textModel)];
  const w = graph.scope();
  const positions = graph.input("positions", "int64", [batch, length]);
  const tables = rotaryTables(graph, length, headDim, rotation);
  const bias = graph.constant(causalBias(length), [length, length]);
  const perHead = (x: Tensor) => transpose(reshape(x, [batch, length, heads, headDim]), [0, 2, 1, 3]);
  const placed = (x: Tensor) => rope(perHead(x), positions, tables);
  const tokens = reshape(graph.input("tokens", "int64", [batch, length]), [rows]);
  const hidden = transformer(
    w,
    embed(w, tokens, textModel),
    (_layer, { queries, keys, values }) => {
      const mixed = attention(placed(queries), placed(keys), perHead(values), bias);
      return reshape(transpose(mixed, [0, 2, 1, 3]), [rows, heads, headDim]);
    },
    textModel,
  );
  const { nll } = tokenLoss(head(w, hidden, textModel), graph.input("targets", "int64", [rows]));
  return { loss: divide(sum(nll, 0, { keep: false }), rows) };
}
