/**
 * @file `bench attention`: compares structured packed attention, which computes no masked scores, with a dense mask over
 * the whole sequence of every context. Both run the same training step on the same batch and must find the same loss; the
 * dense one, as most programs do, also computes the logits of tokens that no loss needs. And with PyTorch: the same step
 * of an equal model on contexts of the same sizes, with a dense mask.
 */
import { type Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import { XPromptError } from "../src/errors.ts";
import { formatBytes } from "../src/format.ts";
import { packingOf } from "../src/training/transformer/data.ts";
import { exampleRows, type Packing, todoRows } from "../src/xprompt/packing.ts";
import { contextRows, nanoSizes, todoPositionOf } from "./attends.ts";
import {
  benchmark,
  type CommonOptions,
  type PeerOptions,
  type Report,
  setting,
  withCompile,
  withPeer,
} from "./options.ts";
import { startPeer, stepsOf } from "./peers.ts";
import { alternate, milliseconds, type Run, ratio, round } from "./timing.ts";
import { startNode } from "./worker.ts";

/** Shapes of the recipes of nano: 16 XP tokens, loss on the results alone. */
const shape = (contexts: number, examples: number, codes: number): Packing =>
  packingOf(
    {
      contexts,
      todos: 4,
      xprompt: { tokens: 16, maxTextTokens: 12, todoPosition: 0 },
      weights: { query: 0, instruction: 0, target: 1, words: 1 },
    },
    examples,
    codes,
  );

const cases = {
  windows: shape(8, 1, 64),
  nano: shape(2, 1, 256),
  "two examples": shape(2, 2, 256),
} satisfies Record<string, Packing>;

const factsSchema = z.strictObject({ parameters: z.int(), loss: z.number() });

/** Largest difference of the losses that rounding can cause. */
const TOLERANCE = 1e-4;

interface AttentionOptions extends CommonOptions, PeerOptions {
  readonly only?: keyof typeof cases;
  readonly compile: boolean;
}

export function attentionBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  const about = "Structured packed attention, compared with one dense mask per context.";
  return withCompile(withPeer(benchmark("attention", about, 8)))
    .option("--only <case>", `one of ${Object.keys(cases).join(", ")}. Defaults to all`, caseName)
    .action(async (options: AttentionOptions) => {
      const names = options.only ? [options.only] : (Object.keys(cases) as (keyof typeof cases)[]);
      const found = [];
      for (const name of names) found.push(await measure(name, cases[name], options));
      print(reportOf(found, options), options);
    });
}

async function measure(name: string, packing: Packing, options: AttentionOptions) {
  const { threads, repeats } = options;
  const start = (attention: "structured" | "dense") =>
    startNode(new URL("attention-step.ts", import.meta.url), { attention, packing, threads }, factsSchema);
  const [structured, dense] = [await start("structured"), await start("dense")];
  const losses = { structured: structured.facts.loss, dense: dense.facts.loss };
  if (Math.abs(losses.structured - losses.dense) > TOLERANCE)
    throw new XPromptError(
      `comparing ${name}: expected one loss, got ${losses.structured} structured and ${losses.dense} dense`,
    );
  const { parameters } = structured.facts;
  const peer = await startPeer("context_step", peerArguments(packing, options), options, parameters);
  const peers = peer ? await stepsOf(peer, options.compile) : {};
  process.stderr.write(`measuring ${name} `);
  const programs: Record<string, Run> = {
    structured: structured.run("step"),
    dense: dense.run("step"),
    ...peers,
  };
  const times = await alternate(programs, { repeats, warmUp: 2 });
  await peer?.end();
  const peakBytes = { structured: await structured.end(), dense: await dense.end() };
  const { contexts, examples, exampleLength, todos, todoLength, xpTokens } = packing;
  const scores = {
    structured:
      contexts * (examples * exampleLength ** 2 + todos * todoLength * (examples * xpTokens + todoLength)),
    dense: contexts * contextRows(packing) ** 2,
  };
  return {
    case: name,
    packing,
    tokens: exampleRows(packing) + todoRows(packing),
    parameters,
    loss: round(losses.structured, 4),
    msPerStep: { structured: milliseconds(times.structured!), dense: milliseconds(times.dense!) },
    peakBytes,
    /** dense ÷ structured */
    ratio: {
      time: ratio(times.dense!, times.structured!),
      peakBytes: round(peakBytes.dense / peakBytes.structured, 2),
      scores: round(scores.dense / scores.structured, 2),
    },
    pytorch: Object.keys(peers).map((mode) => ({
      mode,
      msPerStep: milliseconds(times[mode]!),
      /** Contexts per second of xprompt ÷ PyTorch. */
      ratio: ratio(times[mode]!, times.structured!),
    })),
  };
}

function peerArguments(packing: Packing, { threads, compile }: AttentionOptions): string[] {
  const { vocabularySize, hiddenSize, intermediateSize, layers, heads } = nanoSizes;
  const { contexts, examples, exampleLength, xpTokens, todos, todoLength } = packing;
  const named = {
    ...{ vocab: vocabularySize, hidden: hiddenSize, ff: intermediateSize, layers, heads, threads },
    ...{ contexts, examples, "example-length": exampleLength, "xp-tokens": xpTokens },
    ...{ todos, "todo-length": todoLength, "todo-position": todoPositionOf(packing) },
  };
  return [
    ...Object.entries(named).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ...(compile ? ["--compile"] : []),
  ];
}

function reportOf(found: readonly Awaited<ReturnType<typeof measure>>[], options: CommonOptions): Report {
  return {
    result: { benchmark: "attention", cases: found, ...setting(options) },
    rows: [
      ["case", "tokens", "structured ms/step", "dense", "dense ÷ structured", "peak memory", "dense"],
      ...found.map(({ case: name, tokens, msPerStep: { structured, dense }, peakBytes, ratio: { time } }) => [
        name,
        String(tokens),
        String(structured.median),
        String(dense.median),
        `${time.median} (${time.min} … ${time.max})`,
        formatBytes(peakBytes.structured),
        formatBytes(peakBytes.dense),
      ]),
      ...found.flatMap(({ case: name, pytorch }) =>
        pytorch.map(({ mode, msPerStep, ratio: { median, min, max } }) => [
          ...[`${name}, PyTorch ${mode}`, "", "", String(msPerStep.median)],
          `${median} (${min} … ${max})`,
        ]),
      ),
    ],
  };
}

function caseName(text: string): string {
  if (text in cases) return text;
  throw new InvalidArgumentError(`expected one of ${Object.keys(cases).join(", ")}.`);
}
