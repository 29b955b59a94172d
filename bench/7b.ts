/**
 * @file `bench 7b`: generates as many tokens as a picture has, with a model of Chameleon-7B's full shape, random weights
 * and 4 bits. Compares the time per token with the time that memory needs to read the weights once.
 */
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { cacheBytes } from "../src/chameleon/model/cache.ts";
import { formatBytes } from "../src/format.ts";
import { openWeights } from "../src/runtime/weights.ts";
import { chameleon7b, writeCheckpoint } from "./7b-checkpoint.ts";
import { copyBandwidth } from "./bandwidth.ts";
import { benchmark, type CommonOptions, integer, type Report, setting } from "./options.ts";
import { round } from "./timing.ts";
import { startNode } from "./worker.ts";

interface SevenOptions extends CommonOptions {
  readonly scratch: string;
  readonly tokens: number;
  readonly prompt: number;
  readonly layers: number;
}

export function sevenBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return benchmark("7b", "A model of Chameleon-7B's shape in 4 bits, compared with the memory bandwidth.", 1)
    .option(
      "--scratch <folder>",
      "folder that keeps the checkpoint (13 GiB) and the converted model (5 GiB). Defaults to a folder for temporary files",
      join(tmpdir(), "xprompt-7b"),
    )
    .option("--tokens <n>", "tokens to generate. Defaults to 1024, one picture", integer, 1024)
    .option("--prompt <n>", "tokens of the prompt. Defaults to 64", integer, 64)
    .option("--layers <n>", "layers of the model. Defaults to all 32", integer, chameleon7b.layers)
    .action(async (options: SevenOptions) => print(await measure(options), options));
}

const conversionSchema = z.strictObject({ seconds: z.number(), peakBytes: z.number() });

async function measure(options: SevenOptions): Promise<Report> {
  const { scratch, tokens, prompt, layers, threads } = options;
  const config = { ...chameleon7b, layers };
  const folder = (name: string) => join(scratch, `${layers}-layers-${name}`);
  const conversion = await converted(folder("bfloat16"), folder("int4"), folder("conversion.json"), options);
  const bandwidth = await copyBandwidth(threads);

  const program = await startNode(
    new URL("7b-draw.ts", import.meta.url),
    { folder: folder("int4"), prompt, tokens, threads },
    z.strictObject({}),
  );
  const time = async (name: string) => {
    process.stderr.write(`measuring: ${name}\n`);
    return program.run(name)();
  };
  const [load, prefill, draw] = [await time("load"), await time("prefill"), await time("draw")];
  const peakBytes = await program.end();

  const msPerToken = draw / (tokens - 1);
  const weightBytes = await weightBytesPerToken(folder("int4"));
  const cached = cacheBytes(config, prompt + tokens / 2);
  const bound = (weightBytes + cached) / bandwidth / 1e6;
  const result = {
    benchmark: "7b",
    sizes: config,
    prompt,
    tokens,
    conversion,
    loadSeconds: round(load / 1e3, 2),
    prefillTokensPerSecond: round((prompt / prefill) * 1e3, 2),
    msPerToken: round(msPerToken, 2),
    copyGBs: round(bandwidth, 2),
    weightBytesPerToken: weightBytes,
    /** For the middle token. */
    cacheBytesPerToken: cached,
    boundMs: round(bound, 2),
    shareOfBound: round(bound / msPerToken, 3),
    peakBytes,
    ...setting(options),
  };
  return {
    result,
    rows: [
      ["conversion", `${round(conversion.seconds, 1)} s`, formatBytes(conversion.peakBytes)],
      ["load", `${result.loadSeconds} s`],
      ["prefill", `${result.prefillTokensPerSecond} tokens/s`],
      ["generation", `${result.msPerToken} ms per token`],
      ["weights per token", formatBytes(weightBytes), `${result.copyGBs} GB/s copied`],
      ["memory bound", `${result.boundMs} ms per token`, `${round(100 * result.shareOfBound, 0)}% reached`],
      ["peak memory", formatBytes(peakBytes)],
    ],
  };
}

/** Converts the checkpoint unless that was done before. Keeps the cost of the conversion in a file. */
async function converted(
  input: string,
  output: string,
  notes: string,
  { layers, threads }: SevenOptions,
): Promise<z.output<typeof conversionSchema>> {
  if (existsSync(output) && existsSync(notes))
    return conversionSchema.parse(JSON.parse(await readFile(notes, "utf8")));
  if (!existsSync(join(input, "config.json"))) await writeCheckpoint(input, { ...chameleon7b, layers });
  await rm(notes, { force: true });
  process.stderr.write("measuring: convert\n");
  const program = await startNode(
    new URL("7b-convert.ts", import.meta.url),
    { input, output, threads },
    z.strictObject({}),
  );
  const ms = await program.run("convert")();
  const made = { seconds: round(ms / 1e3, 2), peakBytes: await program.end() };
  await writeFile(notes, JSON.stringify(made));
  return made;
}

/** Bytes of codes, scales and norms that one token reads. It reads only one row of the embedding. */
async function weightBytesPerToken(folder: string): Promise<number> {
  const weights = await openWeights(folder);
  await weights.close();
  let bytes = 0;
  for (const [name, { byteLength, shape }] of weights.tensors)
    bytes += name === "model.embed_tokens.weight" ? byteLength / shape[0]! : byteLength;
  return bytes;
}
