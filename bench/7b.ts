/**
 * @file `bench 7b`: a model of Chameleon-7B's full shape with random weights, converted to 4 bits, drawing a picture's
 * worth of tokens; held against the time that the memory needs to bring the weights of one token.
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
  return benchmark("7b", "A model of Chameleon-7B's shape in 4 bits, beside what the memory allows.", 1)
    .option(
      "--scratch <folder>",
      "where the checkpoint (13 GiB) and what is made of it (5 GiB) are kept for the next time. Defaults to a folder for temporary files",
      join(tmpdir(), "xprompt-7b"),
    )
    .option("--tokens <n>", "tokens to draw. Defaults to a picture's 1024", integer, 1024)
    .option("--prompt <n>", "tokens read before. Defaults to 64", integer, 64)
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
    /** Of the middle token. */
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
      ["reading the prompt", `${result.prefillTokensPerSecond} tokens/s`],
      ["drawing", `${result.msPerToken} ms a token`],
      ["weights a token", formatBytes(weightBytes), `${result.copyGBs} GB/s copied`],
      [
        "bound of the memory",
        `${result.boundMs} ms a token`,
        `${round(100 * result.shareOfBound, 0)}% reached`,
      ],
      ["most memory held", formatBytes(peakBytes)],
    ],
  };
}

/** Makes what is not there yet; what converting took is kept beside it. */
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

/** Bytes of codes, scales and norms: all but the embedding, of which a token reads one row. */
async function weightBytesPerToken(folder: string): Promise<number> {
  const weights = await openWeights(folder);
  await weights.close();
  let bytes = 0;
  for (const [name, { byteLength, shape }] of weights.tensors)
    bytes += name === "model.embed_tokens.weight" ? byteLength / shape[0]! : byteLength;
  return bytes;
}
