/**
 * @file `bench generate`: samples an image code by code, compared with a model of the same size in Hugging Face
 * transformers. Also measures the cost per code by cache slots in use and by reserved positions.
 */
import { join } from "node:path";
import type { Command } from "commander";
import type { DecoderConfig } from "../src/chameleon/checkpoint/config.ts";
import { readWeights } from "../src/chameleon/checkpoint/folder.ts";
import { KeyValueCache } from "../src/chameleon/model/cache.ts";
import { Decoder } from "../src/chameleon/model/decoder.ts";
import { argMax } from "../src/chameleon/model/sampling.ts";
import { headWidth } from "../src/chameleon/model/transformer.ts";
import { VQ_PREFIX } from "../src/chameleon/tokenizers/image-tokenizer.ts";
import { UsageError } from "../src/errors.ts";
import type { Initializer } from "../src/graph/index.ts";
import { Random } from "../src/random.ts";
import { readJson } from "../src/runtime/files.ts";
import { type ModelConfig, modelConfigFromJson, modelConfigSchema } from "../src/xprompt/config.ts";
import { type GenerateOptions as GenerateRequest, XPrompt } from "../src/xprompt/model.ts";
import { resolveModel } from "../src/xprompt/models.ts";
import {
  benchmark,
  type CommonOptions,
  codeByCode,
  integer,
  integers,
  type PeerOptions,
  type Report,
  setting,
  withCompile,
  withPeer,
} from "./options.ts";
import { startPeer } from "./peers.ts";
import { alternate, median, milliseconds, type Ratio, type Run, ratio, round, timed } from "./timing.ts";

interface GenerateOptions extends CommonOptions, PeerOptions {
  readonly model: string;
  readonly prompt?: number;
  readonly tokens?: number;
  readonly slots: readonly number[];
  readonly rooms: readonly number[];
  readonly compile: boolean;
}

/** Codes per measurement of the cost by slots or room. */
const CODES_PER_RUN = 16;
/** Slots in use when measuring the cost by room. */
const SLOTS_IN_USE = 300;

export function generateBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return withCompile(
    withPeer(benchmark("generate", "Sampling an image, compared with Hugging Face transformers.", 7)),
  )
    .option("--model <name>", "a shipped model, or a model folder. Defaults to nano", "nano")
    .option(
      "--prompt <n>",
      "tokens of the prompt. Defaults to one example's XP tokens and a picture",
      integer,
    )
    .option("--tokens <n>", "codes to sample. Defaults to one picture", integer)
    .option("--slots <n,…>", "cache slots in use. Defaults to 100,300,500", integers, [100, 300, 500])
    .option("--rooms <n,…>", "reserved positions. Defaults to 1024,2048,8192", integers, [1024, 2048, 8192])
    .action(async (options: GenerateOptions) => print(await measure(options), options));
}

async function measure(options: GenerateOptions): Promise<Report> {
  const { threads, repeats, slots, rooms } = options;
  const folder = await resolveModel(options.model);
  const json = await readJson(join(folder, "config.json"), modelConfigSchema, "model config");
  const config = modelConfigFromJson(json);
  const weights = await readWeights(folder, config.checksum, (name) => !name.startsWith(`${VQ_PREFIX}.`));
  const codes = codesPerImage(config);
  const { prompt = config.xprompt.tokens + codes + 4, tokens = codes } = options;
  const least = Math.max(prompt + tokens, SLOTS_IN_USE + CODES_PER_RUN);
  const short = rooms.find((room) => room < least);
  if (short !== undefined)
    throw new UsageError(
      `--rooms: expected at least ${least} positions for the prompt and its codes, got ${short}`,
    );

  const ours = await decodingLoop(config.decoder, weights, { prompt, tokens, threads });
  const parameters = [...weights.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const theirs = peerArguments(config.decoder, { ...options, prompt, tokens });
  const peer = await startPeer("generate", theirs, options, parameters);
  const programs: Record<string, Run> = {
    prefill: ours.prefill,
    loop: ours.loop,
    ...(peer && {
      theirPrefill: peer.run("prefill"),
      theirLoop: peer.run("loop"),
      theirGenerate: peer.run("generate"),
      ...(options.compile && { theirCompiled: peer.run("compiled") }),
      ...Object.fromEntries(rooms.map((room) => [`theirs ${room}`, peer.run(`loop-${room}`)])),
    }),
  };
  process.stderr.write("measuring a whole picture ");
  const times = await alternate(programs, { repeats });
  await peer?.end();

  /** The prefill gives the first code. */
  const perToken = (whole: readonly number[], prefill: readonly number[]) =>
    whole.map((ms, i) => (ms - prefill[i]!) / (tokens - 1));
  const msPerToken = perToken(times.loop!, times.prefill!);
  const side = (whole: readonly number[], prefill: readonly number[]) => ({
    msPerToken: milliseconds(perToken(whole, prefill)),
    wholeImageMs: milliseconds(whole),
    prefillMs: milliseconds(prefill),
  });
  const xprompt = side(times.loop!, times.prefill!);
  const pytorch = times.theirLoop
    ? {
        ...side(times.theirLoop, times.theirPrefill!),
        generate: side(times.theirGenerate!, times.theirPrefill!),
        compiled: times.theirCompiled ? side(times.theirCompiled, times.theirPrefill!) : null,
        byRoom: rooms.map((room) => ({
          room,
          msPerToken: milliseconds(perToken(times[`theirs ${room}`]!, times.theirPrefill!)),
        })),
        versions: peer!.facts.versions,
      }
    : null;
  const speedUp = times.theirLoop && {
    msPerToken: ratio(perToken(times.theirLoop, times.theirPrefill!), msPerToken),
    msPerTokenCompiled:
      times.theirCompiled && ratio(perToken(times.theirCompiled, times.theirPrefill!), msPerToken),
    wholeImage: ratio(times.theirLoop, times.loop!),
    wholeImageGenerate: ratio(times.theirGenerate!, times.loop!),
  };
  await ours.end();

  const bySlots = await costBySlots(config.decoder, weights, { slots, threads, repeats });
  const byRoom = await costByRoom(config.decoder, weights, { rooms, threads, repeats });
  const pictures = await wholePictures(folder, { threads, repeats: Math.min(repeats, 5) });
  const text = (found: Ratio) => `${found.median} (${found.min} … ${found.max})`;
  return {
    result: {
      benchmark: "generate",
      model: options.model,
      sizes: config.decoder,
      parameters,
      prompt,
      tokens,
      xprompt: { ...xprompt, bySlots, byRoom, pictures },
      pytorch,
      /** PyTorch's time ÷ xprompt's. */
      ratio: speedUp ?? null,
      ...setting(options),
    },
    rows: [
      [`prompt of ${prompt}, ${tokens} codes`, "ms/code", "ms/picture", "ms prefill"],
      ...[
        ["xprompt", xprompt] as const,
        ["PyTorch, a loop", pytorch] as const,
        ["PyTorch, generate()", pytorch?.generate] as const,
        ["PyTorch, compiled, preallocated cache", pytorch?.compiled] as const,
      ].map(([name, found]) =>
        found
          ? [
              name,
              String(found.msPerToken.median),
              String(found.wholeImageMs.median),
              String(found.prefillMs.median),
            ]
          : [name, "-", "-", "-"],
      ),
      [
        "PyTorch ÷ xprompt",
        ...(speedUp ? [text(speedUp.msPerToken), text(speedUp.wholeImage)] : ["-", "-"]),
        "",
      ],
      ...(speedUp?.msPerTokenCompiled
        ? [["PyTorch compiled ÷ xprompt", text(speedUp.msPerTokenCompiled), "", ""]]
        : []),
      ...bySlots.map((each) => [
        `xprompt, ${each.slots} slots in use`,
        String(each.msPerToken.median),
        "",
        "",
      ]),
      ...byRoom.map((each) => [
        `xprompt, ${SLOTS_IN_USE} in use of ${each.room}`,
        String(each.msPerToken.median),
        "",
        "",
      ]),
      ...(pytorch?.byRoom ?? []).map((each) => [
        `PyTorch, preallocated cache of ${each.room}`,
        String(each.msPerToken.median),
        "",
        "",
      ]),
      ...pictures.map((each) => [`XPrompt.generate, ${each.what}`, "", String(each.msPerPicture.median), ""]),
    ],
  };
}

const sizeOf = (shape: Initializer["shape"]): number =>
  (shape as readonly number[]).reduce((product, dim) => product * dim, 1);

const codesPerImage = ({ image }: ModelConfig): number =>
  (image.resolution / 2 ** (image.channelMultiplier.length - 1)) ** 2;

const peerArguments = (
  { hiddenSize, layers, heads, intermediateSize, vocabularySize }: DecoderConfig,
  { prompt, tokens, threads, rooms, compile }: GenerateOptions & { prompt: number; tokens: number },
): string[] => {
  const sizes = { hidden: hiddenSize, layers, heads, ff: intermediateSize, vocab: vocabularySize };
  const named = { ...sizes, prefill: prompt, tokens, threads, rooms: rooms.join() };
  return [
    ...Object.entries(named).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ...(compile ? ["--compile"] : []),
  ];
};

type Weights = ReadonlyMap<string, Initializer>;

/** Greedy decoding, as in the peer. */
async function decodingLoop(
  config: DecoderConfig,
  weights: Weights,
  { prompt, tokens, threads }: { readonly prompt: number; readonly tokens: number; readonly threads: number },
): Promise<{ readonly prefill: Run; readonly loop: Run; readonly end: () => Promise<void> }> {
  const decoder = await Decoder.create({ ...config, maxPositions: prompt + tokens }, weights, { threads });
  const random = Random.of(0, "prompt");
  const promptTokens = Array.from({ length: prompt }, () => random.integer(4, config.vocabularySize - 1));
  const prefill = async (cache: KeyValueCache) =>
    argMax(await decoder.forward([{ tokens: promptTokens, positions: [...promptTokens.keys()] }], cache));
  const loop = async () => {
    const cache = decoder.newCache(1);
    let token = await prefill(cache);
    for (let i = 0; i < tokens - 1; i++)
      token = argMax(await decoder.forward([{ tokens: [token], positions: [prompt + i] }], cache));
  };
  return {
    prefill: timed(() => prefill(decoder.newCache(1))),
    loop: timed(loop),
    end: () => decoder.release(),
  };
}

/** Milliseconds per token, by number of cache slots in use. */
async function costBySlots(
  config: DecoderConfig,
  weights: Weights,
  { slots, threads, repeats }: { slots: readonly number[]; threads: number; repeats: number },
) {
  const decoder = await Decoder.create(config, weights, { threads });
  process.stderr.write("measuring by slots in use ");
  const runs = Object.fromEntries(slots.map((count) => [String(count), decodeBehind(decoder, count)]));
  const times = await alternate(runs, { repeats });
  await decoder.release();
  return slots.map((count) => ({ slots: count, msPerToken: milliseconds(times[String(count)]!) }));
}

/** Milliseconds per token with the same slots in use, by number of reserved positions. */
async function costByRoom(
  config: DecoderConfig,
  weights: Weights,
  { rooms, threads, repeats }: { rooms: readonly number[]; threads: number; repeats: number },
) {
  const decoders: Decoder[] = [];
  for (const room of rooms)
    decoders.push(await Decoder.create({ ...config, maxPositions: room }, weights, { threads }));
  process.stderr.write("measuring by room reserved ");
  const runs = Object.fromEntries(
    decoders.map((each, i) => [String(rooms[i]), decodeBehind(each, SLOTS_IN_USE)]),
  );
  const times = await alternate(runs, { repeats });
  for (const decoder of decoders) await decoder.release();
  return rooms.map((room) => ({ room, msPerToken: milliseconds(times[String(room)]!) }));
}

/** Decodes tokens one by one with `slots` used slots before them. Measures the mean time per token. */
function decodeBehind(decoder: Decoder, slots: number): Run {
  const { config } = decoder;
  const random = Random.of(0, "cache", slots);
  const size = config.keyValueHeads * slots * headWidth(config);
  const filled = () => Float32Array.from({ length: size }, () => random.normal());
  const layers = Array.from({ length: config.layers }, () => ({ keys: filled(), values: filled() }));
  return async () => {
    const cache = new KeyValueCache(1, config);
    cache.append(0, { length: slots, heads: config.keyValueHeads, layers });
    const whole = timed(async () => {
      for (let i = 0; i < CODES_PER_RUN; i++) await decoder.forward([{ tokens: [i], positions: [i] }], cache);
    });
    return (await whole()) / CODES_PER_RUN;
  };
}

/** `XPrompt.generate` as a whole: encoding, prefill, sampling, decoding. */
async function wholePictures(
  folder: string,
  { threads, repeats }: { readonly threads: number; readonly repeats: number },
) {
  const model = await XPrompt.load(folder, { threads });
  const random = Random.of(0, "picture");
  const data = () => Float32Array.from({ length: model.size ** 2 * 3 }, () => random.uniform());
  const picture = () => ({ width: model.size, height: model.size, data: data() });
  const input = picture();
  const prompt = await model.compress([{ input: picture(), output: picture() }]);
  const generate = (options: Omit<GenerateRequest, "prompt" | "input">) =>
    timed(() => model.generate({ prompt, input, seed: 0, ...options }));
  const kinds = [
    { what: "one picture, as the model recommends", options: { samples: 1 } },
    { what: "code by code", options: { ...codeByCode, samples: 1, guidance: 1 } },
    { what: "code by code, no drafts", options: { ...codeByCode, samples: 1, guidance: 1, draft: false } },
    { what: "code by code, with guidance", options: { ...codeByCode, samples: 1 } },
    { what: "code by code, with guidance, no drafts", options: { ...codeByCode, samples: 1, draft: false } },
    { what: "code by code, 8 pictures at once", options: { ...codeByCode, samples: 8, guidance: 1 } },
  ];
  process.stderr.write("measuring XPrompt.generate ");
  const runs = Object.fromEntries(kinds.map(({ what, options }) => [what, generate(options)]));
  const times = await alternate(runs, { repeats, warmUp: 1 });
  await model.release();
  return kinds.map(({ what, options: { samples } }) => ({
    what,
    msPerPicture: milliseconds(times[what]!.map((ms) => round(ms / samples, 3))),
    codesPerSecond: round((1e3 * samples * model.codesPerImage) / median(times[what]!), 1),
  }));
}
