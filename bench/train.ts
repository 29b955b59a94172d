/**
 * @file `bench train`: a complete training step (forward, backward, clipping, AdamW) of a small decoder on plain causal
 * sequences, compared with the same step in PyTorch in float32 and under bfloat16 autocast, eager and compiled, and with
 * one large matrix product as the upper bound of each side.
 */
import type { Command } from "commander";
import type { DecoderConfig } from "../src/chameleon/checkpoint/config.ts";
import { embed, head, transformer } from "../src/chameleon/model/transformer.ts";
import { UsageError } from "../src/errors.ts";
import { exportOnnx, Graph, matmul, mean, parameterShapes, reshape, tokenLoss } from "../src/graph/index.ts";
import { Random } from "../src/random.ts";
import { float32, int64, Session } from "../src/runtime/session.ts";
import { optimizerSchema } from "../src/training/optimizer/optimizer.ts";
import { initialize, TrainingState } from "../src/training/run/state.ts";
import { type Objective, TrainingStep } from "../src/training/run/step.ts";
import { causalAttention } from "./attends.ts";
import {
  benchmark,
  type CommonOptions,
  integer,
  type PeerOptions,
  type Report,
  setting,
  withCompile,
  withPeer,
} from "./options.ts";
import { startPeer, stepsOf } from "./peers.ts";
import { alternate, gflops, median, milliseconds, type Run, ratio, round, timed } from "./timing.ts";

interface TrainOptions extends CommonOptions, PeerOptions {
  readonly hidden: number;
  readonly ff: number;
  readonly layers: number;
  readonly heads: number;
  readonly vocab: number;
  readonly batch: number;
  readonly length: number;
  readonly compile: boolean;
}

const sizes = { hidden: 256, ff: 688, layers: 6, heads: 8, vocab: 1024, batch: 4, length: 512 };
const SGEMM_SIZE = 1024;

export function trainBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  const command = withCompile(withPeer(benchmark("train", "A training step, compared with PyTorch.", 10)));
  for (const [name, size] of Object.entries(sizes))
    command.option(`--${name} <n>`, `Defaults to ${size}`, integer, size);
  return command.action(async (options: TrainOptions) => print(await measure(options), options));
}

async function measure(options: TrainOptions): Promise<Report> {
  const { threads, batch, length, vocab, hidden, layers, heads, repeats } = options;
  if (hidden % (2 * heads) !== 0)
    throw new UsageError(`--heads ${heads}: expected heads of even width for --hidden ${hidden}`);
  const ours = await ourStep(options);
  const tokens = batch * length;
  // As in the peer: 2 operations per weight and token forward, 4 backward; attention counted in full, T × T.
  const operations = 6 * (ours.parameters - vocab * hidden) * tokens + 12 * layers * hidden * length * tokens;

  const peer = await startPeer("train_step", peerArguments(options), options, ours.parameters);
  const peers = peer ? await stepsOf(peer, options.compile) : {};
  const ourProduct = await product(threads);
  const programs: Record<string, Run> = {
    xprompt: ours.run,
    ...peers,
    ourProduct,
    ...(peer && { theirProduct: peer.run("sgemm") }),
  };
  process.stderr.write(`measuring ${Object.keys(programs).join(", ")} `);
  const times = await alternate(programs, { repeats });
  await peer?.end();
  const loss = await ours.end();

  const best = (all: readonly number[]) => ({
    size: SGEMM_SIZE,
    median: gflops(2 * SGEMM_SIZE ** 3, median(all)),
    best: gflops(2 * SGEMM_SIZE ** 3, Math.min(...all)),
  });
  const rates = (all: readonly number[]) => ({
    msPerStep: milliseconds(all),
    tokensPerSecond: Math.round((tokens / median(all)) * 1e3),
    gflopsPerSecond: gflops(operations, median(all)),
  });
  const sgemm = {
    onnxruntime: best(times.ourProduct!),
    pytorch: times.theirProduct ? best(times.theirProduct) : null,
  };
  const xprompt = rates(times.xprompt!);
  const shareOfSgemm = round(xprompt.gflopsPerSecond / sgemm.onnxruntime.median, 3);
  const pytorch = Object.fromEntries(
    Object.keys(peers).map((mode) => [
      mode,
      // `ratio`: xprompt's tokens per second ÷ PyTorch's.
      { ...rates(times[mode]!), ratio: ratio(times[mode]!, times.xprompt!) },
    ]),
  );
  const row = (
    name: string,
    { msPerStep, tokensPerSecond, gflopsPerSecond }: typeof xprompt,
    last: string,
  ) => [...[name, String(msPerStep.median), String(tokensPerSecond), String(gflopsPerSecond), last]];
  return {
    result: {
      benchmark: "train",
      parameters: ours.parameters,
      ...Object.fromEntries(Object.keys(sizes).map((name) => [name, options[name as keyof typeof sizes]])),
      gflopPerStep: round(operations / 1e9, 2),
      xprompt: { ...xprompt, shareOfSgemm, loss },
      pytorch: peer && { ...pytorch, versions: peer.facts.versions },
      sgemmGflopsPerSecond: sgemm,
      ...setting(options),
    },
    rows: [
      [
        `${ours.parameters} parameters, ${batch} × ${length} tokens`,
        ...["ms/step", "tokens/s", "GFLOP/s", "xprompt's tokens/s ÷ its"],
      ],
      row("xprompt", xprompt, `${Math.round(100 * shareOfSgemm)} % of sgemm`),
      ...Object.entries(pytorch).map(([mode, found]) =>
        row(`PyTorch ${mode}`, found, `${found.ratio.median} (${found.ratio.min} … ${found.ratio.max})`),
      ),
      [
        `sgemm ${SGEMM_SIZE}³, GFLOP/s`,
        `onnxruntime ${sgemm.onnxruntime.median}`,
        sgemm.pytorch ? `PyTorch ${sgemm.pytorch.median}` : "-",
      ],
    ],
  };
}

const peerArguments = (options: TrainOptions): string[] => [
  ...[...Object.keys(sizes), "threads"].flatMap((name) => [
    `--${name}`,
    String(options[name as keyof typeof sizes | "threads"]),
  ]),
  ...(options.compile ? ["--compile"] : []),
];

export const decoderConfig = ({ hidden, ff, layers, heads, vocab, length }: typeof sizes): DecoderConfig => ({
  vocabularySize: vocab,
  hiddenSize: hidden,
  intermediateSize: ff,
  layers,
  heads,
  keyValueHeads: heads,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 10_000 },
  maxPositions: length,
  swinNorm: false,
});

/** Mean of −log p(next token) over plain causal sequences. */
function plainObjective(graph: Graph, { batch, length }: typeof sizes, config: DecoderConfig): Objective {
  const w = graph.scope();
  const tokens = reshape(graph.input("tokens", "int64", [batch, length]), [batch * length]);
  const attend = causalAttention(graph, batch, length, config);
  const hidden = transformer(w, embed(w, tokens, config), attend, config);
  const targets = graph.input("targets", "int64", [batch * length]);
  return { loss: mean(tokenLoss(head(w, hidden, config), targets).nll, 0, { keep: false }) };
}

async function ourStep(options: TrainOptions): Promise<{
  readonly parameters: number;
  readonly run: Run;
  /** @returns the final loss */
  readonly end: () => Promise<number>;
}> {
  const { batch, length, vocab, threads } = options;
  const config = decoderConfig(options);
  const build = (graph: Graph) => plainObjective(graph, options, config);
  const graph = new Graph();
  build(graph);
  const state = new TrainingState(parameterShapes(graph));
  initialize(
    state,
    (name) => Random.of(0, "weights", name),
    (name) =>
      /norm\.weight$/.test(name)
        ? { constant: 1 }
        : /bias$/.test(name)
          ? { constant: 0 }
          : { deviation: 0.02 },
  );
  const optimizer = optimizerSchema.parse({
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0.1,
    clipNorm: 1,
  });
  const step = await TrainingStep.plan(build, optimizer).compile({ threads });
  const random = Random.of(0, "tokens");
  const ids = BigInt64Array.from({ length: batch * length + 1 }, () => BigInt(random.integer(0, vocab - 1)));
  const feeds = {
    tokens: int64(ids.slice(0, -1), [batch, length]),
    targets: int64(ids.slice(1), [batch * length]),
  };
  let loss = Number.NaN;
  const parameters = [...state.parameters.values()].reduce(
    (sum, shape) => sum + shape.reduce((a, b) => a * b, 1),
    0,
  );
  const run = timed(async () => {
    ({ loss } = await step.run(state, feeds, 1e-4));
  });
  const end = async () => {
    await step.release();
    return round(loss, 4);
  };
  return { parameters, run, end };
}

/** One large matrix product in onnxruntime. */
async function product(threads: number): Promise<Run> {
  const graph = new Graph();
  const shape = [SGEMM_SIZE, SGEMM_SIZE];
  const [x, y] = ["x", "y"].map((name) => graph.input(name, "float32", shape));
  const session = await Session.create(exportOnnx({ product: matmul(x!, y!) }), { threads });
  const random = Random.of(0, "product");
  const matrix = () =>
    float32(
      Float32Array.from({ length: SGEMM_SIZE ** 2 }, () => random.normal()),
      shape,
    );
  const [feeds, into] = [{ x: matrix(), y: matrix() }, { product: matrix() }];
  return timed(() => session.run(feeds, into));
}
