/**
 * @file `bench 7b`: generates with a model of Chameleon-7B's full shape, random weights and 4 bits. Compares it with
 * llama.cpp on a model of the same shape, and with the time that memory needs to read the weights once.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import { type BlockSize, blockSizes, defaultBlockSize } from "../src/chameleon/checkpoint/quantize.ts";
import { cacheBytes } from "../src/chameleon/model/cache.ts";
import { quantizedBytes } from "../src/chameleon/model/memory.ts";
import { formatBytes } from "../src/format.ts";
import { Random } from "../src/random.ts";
import { openWeights } from "../src/runtime/weights.ts";
import { chameleon7b, writeCheckpoint } from "./7b-checkpoint.ts";
import { readBandwidth } from "./bandwidth.ts";
import {
  benchmark,
  type CommonOptions,
  integer,
  integers,
  type PeerOptions,
  type Report,
  setting,
  withPeer,
} from "./options.ts";
import { interpreterWith } from "./peers.ts";
import { alternate, median, type Ratio, ratio, round } from "./timing.ts";
import { startNode, type Worker } from "./worker.ts";

interface SevenOptions extends CommonOptions, PeerOptions {
  readonly scratch: string;
  readonly prompt: number;
  readonly piece: number;
  readonly layers: number;
  readonly blockSizes: readonly BlockSize[];
}

/** Runs of the prefill per side. */
const PREFILLS = 3;
/** Rounds before the measured ones. */
const WARM_UP = 1;

export function sevenBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return withPeer(
    benchmark(
      "7b",
      "A model of Chameleon-7B's shape in 4 bits, compared with llama.cpp and the memory bandwidth.",
      24,
    ),
  )
    .option(
      "--scratch <folder>",
      "folder that keeps the checkpoint (13 GiB) and the converted models (5 GiB each). Defaults to a folder for temporary files",
      join(tmpdir(), "xprompt-7b"),
    )
    .option("--prompt <n>", "tokens of the prompt. Defaults to 256", integer, 256)
    .option("--piece <n>", "tokens per run. Defaults to 10", integer, 10)
    .option("--layers <n>", "layers of the model. Defaults to all 32", integer, chameleon7b.layers)
    .option(
      "--block-sizes <n,…>",
      `numbers that share a scale, of ${blockSizes.join(", ")}; a model of each, all in turn. Defaults to ${defaultBlockSize(4)}`,
      blockSizesOf,
      [defaultBlockSize(4)],
    )
    .action(async (options: SevenOptions) => print(await measure(options), options));
}

function blockSizesOf(text: string): BlockSize[] {
  const parsed = z.array(z.literal(blockSizes)).safeParse(integers(text));
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(`expected some of ${blockSizes.join(", ")}, got "${text}".`);
}

const conversionSchema = z.strictObject({ seconds: z.number(), peakBytes: z.number() });

async function measure(options: SevenOptions): Promise<Report> {
  const { scratch, prompt, piece, layers, blockSizes, threads, repeats } = options;
  const config = { ...chameleon7b, layers };
  await mkdir(scratch, { recursive: true });
  const folder = (name: string) => join(scratch, `${layers}-layers-${name}`);
  const random = Random.of(0, "prompt");
  // Text tokens: llama.cpp generates no image codes.
  const tokens = Array.from({ length: prompt }, () => random.integer(9000, config.vocabularySize - 1));
  const used = prompt + (piece * (repeats + WARM_UP)) / 2;
  const sides: Side[] = [];
  for (const blockSize of blockSizes) {
    const int4 = folder(`int4-${blockSize}`);
    const conversion = await converted(folder("bfloat16"), int4, blockSize, options);
    sides.push({
      name: `xprompt, blocks of ${blockSize}`,
      conversion,
      bytesPerToken: (await weightBytesPerToken(int4)) + cacheBytes(config, used),
      program: await startNode(
        new URL("7b-draw.ts", import.meta.url),
        { folder: int4, prompt: tokens, piece, threads },
        z.strictObject({}),
      ),
    });
  }
  const positions = prompt + piece * (repeats + WARM_UP) + 1;
  const llama = await startLlama(folder("q4_0.gguf"), tokens, positions, options);
  if (llama) sides.push({ name: LLAMA, program: llama });

  const inTurn = (work: string, repeats: number, warmUp = 0) => {
    process.stderr.write(`measuring: ${work} `);
    const runs = Object.fromEntries(sides.map(({ name, program }) => [name, program.run(work)]));
    return alternate(runs, { repeats, warmUp });
  };
  const before = await readBandwidth(threads);
  const load = await inTurn("load", 1);
  const prefill = await inTurn("prefill", PREFILLS);
  const pieces = await inTurn("piece", repeats, WARM_UP);
  const after = await readBandwidth(threads);
  const results: Result[] = [];
  for (const { name, program, conversion, bytesPerToken } of sides) {
    const msPerToken = median(pieces[name]!) / piece;
    const bound = bytesPerToken && (2 * bytesPerToken) / (before + after) / 1e6;
    results.push({
      name,
      loadSeconds: round(load[name]![0]! / 1e3, 2),
      firstPrefillTokensPerSecond: round((prompt / prefill[name]![0]!) * 1e3, 2),
      prefillTokensPerSecond: round((prompt / median(prefill[name]!)) * 1e3, 2),
      msPerToken: round(msPerToken, 2),
      peakBytes: await program.end(),
      ...(llama && {
        timesAsFast: {
          prefill: ratio(prefill[LLAMA]!, prefill[name]!),
          msPerToken: ratio(pieces[LLAMA]!, pieces[name]!),
        },
      }),
      ...(bound && { bytesPerToken, shareOfBound: round(bound / msPerToken, 3) }),
      ...(conversion && { conversion }),
    });
  }
  const readGBs = [round(before, 2), round(after, 2)];
  return {
    result: {
      ...{ benchmark: "7b", sizes: config, prompt, tokens: piece * repeats, readGBs, results },
      ...setting(options),
    },
    rows: [...rowsOf(results), ["read", `${readGBs.join(" to ")} GB/s`]],
  };
}

/** A program, and of ours what the conversion took and what a token reads. */
interface Side {
  readonly name: string;
  readonly program: Worker<object>;
  readonly conversion?: Conversion;
  readonly bytesPerToken?: number;
}

type Conversion = z.output<typeof conversionSchema>;

interface Result {
  readonly name: string;
  readonly loadSeconds: number;
  readonly firstPrefillTokensPerSecond: number;
  readonly prefillTokensPerSecond: number;
  readonly msPerToken: number;
  readonly peakBytes: number;
  /** Llama.cpp's time ÷ this one's. */
  readonly timesAsFast?: { readonly prefill: Ratio; readonly msPerToken: Ratio };
  /** Of the middle token. */
  readonly bytesPerToken?: number;
  readonly shareOfBound?: number;
  readonly conversion?: Conversion;
}

const LLAMA = "llama.cpp";

function rowsOf(results: readonly Result[]): string[][] {
  const text = (times: Ratio | undefined) => (times ? `${times.median} (${times.min} … ${times.max})` : "-");
  const rows = results.map((each) => [
    each.name,
    `${each.loadSeconds} s`,
    `${each.firstPrefillTokensPerSecond}, ${each.prefillTokensPerSecond}`,
    text(each.timesAsFast?.prefill),
    String(each.msPerToken),
    text(each.timesAsFast?.msPerToken),
    each.shareOfBound ? `${round(100 * each.shareOfBound, 0)}%` : "-",
    formatBytes(each.peakBytes),
    each.conversion
      ? `${round(each.conversion.seconds, 1)} s, ${formatBytes(each.conversion.peakBytes)}`
      : "-",
  ]);
  const times = `times as fast as ${LLAMA}`;
  return [
    [
      ...["", "load", "prefill, tokens/s: first, median", times, "ms per token", times],
      ...["of the read bound", "peak", "conversion"],
    ],
    ...rows,
  ];
}

/**
 * Starts llama.cpp on a model of the same shape, which is written on first use. Without its packages it returns null, and
 * says how to install them.
 */
async function startLlama(
  file: string,
  prompt: readonly number[],
  positions: number,
  { peer, python, piece, layers, threads }: SevenOptions,
): Promise<Worker<object> | null> {
  if (!peer) return null;
  const library = fileURLToPath(new URL("peers/llama/node_modules/node-llama-cpp", import.meta.url));
  const isWritten = existsSync(file);
  const interpreter = isWritten ? undefined : await interpreterWith(["gguf"], python);
  if (!existsSync(library) || !(isWritten || interpreter)) {
    process.stderr.write(
      "no node-llama-cpp, or no Python with gguf found: measuring only our side. To install them:\n" +
        "  npm install --prefix bench/peers/llama --ignore-scripts\n" +
        "  python3 -m venv .venv && .venv/bin/pip install -r bench/peers/requirements.txt\n",
    );
    return null;
  }
  if (interpreter) {
    process.stderr.write(`writing ${file}\n`);
    const { hiddenSize, heads, intermediateSize, vocabularySize, maxPositions } = chameleon7b;
    const sizes = {
      ...{ output: file, hidden: hiddenSize, layers, heads },
      ...{ ff: intermediateSize, vocab: vocabularySize, positions: maxPositions },
    };
    const args = Object.entries(sizes).flatMap(([name, value]) => [`--${name}`, String(value)]);
    await promisify(execFile)(interpreter, [
      fileURLToPath(new URL("peers/gguf_model.py", import.meta.url)),
      ...args,
    ]);
  }
  return startNode(
    new URL("peers/llama.ts", import.meta.url),
    { file, prompt, positions, piece, threads },
    z.strictObject({}),
  );
}

/** Converts the checkpoint unless that was done before. Keeps the cost of the conversion in a file. */
async function converted(
  input: string,
  output: string,
  blockSize: BlockSize,
  { layers, threads }: SevenOptions,
): Promise<Conversion> {
  const notes = `${output}.json`;
  if (existsSync(output) && existsSync(notes))
    return conversionSchema.parse(JSON.parse(await readFile(notes, "utf8")));
  if (!existsSync(join(input, "config.json"))) await writeCheckpoint(input, { ...chameleon7b, layers });
  await rm(notes, { force: true });
  process.stderr.write("measuring: convert\n");
  const program = await startNode(
    new URL("7b-convert.ts", import.meta.url),
    { input, output, blockSize, threads },
    z.strictObject({}),
  );
  const ms = await program.run("convert")();
  const made = { seconds: round(ms / 1e3, 2), peakBytes: await program.end() };
  await writeFile(notes, JSON.stringify(made));
  return made;
}

/** Bytes of codes, scales and norms that one token reads, and of one row of the embedding. */
async function weightBytesPerToken(folder: string): Promise<number> {
  const weights = await openWeights(folder);
  await weights.close();
  let bytes = 0;
  for (const [name, info] of weights.tensors)
    if (name === "model.embed_tokens.weight") bytes += info.byteLength / info.shape[0]!;
    else bytes += quantizedBytes(name, info);
  return bytes;
}
