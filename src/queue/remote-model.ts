/** @file A model whose work is done by workers, with the methods of one that works in this process. */
import type { z } from "zod";
import { UsageError } from "../errors.ts";
import { fromBytes, type Image } from "../image/index.ts";
import { randomSeed } from "../random.ts";
import { Once } from "../runtime/once.ts";
import type { Retrieved } from "../xprompt/example-source.ts";
import { encodeInput, previewOf } from "../xprompt/generate.ts";
import type {
  CompressOptions,
  DescribeOptions,
  Example,
  Generated,
  GenerateOptions,
  GenerateStep,
  Picture,
  ScoreOptions,
  StreamOptions,
  XPrompt,
} from "../xprompt/model.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import type { RunOptions } from "./job-queue.ts";
import type { JobKind } from "./kind.ts";
import { compress } from "./kinds/compress.ts";
import { describe } from "./kinds/describe.ts";
import { generate, generateProgress } from "./kinds/generate.ts";
import { reconstruct } from "./kinds/reconstruct.ts";
import { score } from "./kinds/score.ts";
import { packPicture, unpackBytes, unpackPicture } from "./pictures.ts";
import { packExamples, packPrompt } from "./prompts.ts";

/** Has a job done, wherever. */
export type Ask = <D extends z.ZodType, R extends z.ZodType>(
  kind: JobKind<D, R>,
  data: z.input<D> & object,
  options: RunOptions,
) => Promise<z.output<R>>;

/**
 * A model with the results of `model`, computed by jobs. It does not stream. `onProgress` of `generate` is called for
 * one row at a time; rows that wait for an earlier call when the result arrives are left out. What is not a job (its
 * tokenizers, its sizes) is that of `model`.
 * @param model loaded here, for its fingerprint and its tokenizers; the caller releases it
 */
export function remoteModel(model: XPrompt, ask: Ask): XPrompt {
  const methods = {
    generate: (options: GenerateOptions) => generateBy(ask, model, options),
    stream(_: StreamOptions): AsyncGenerator<GenerateStep> {
      throw new UsageError(
        "streaming: expected a model that works in this process, got one whose work is done by workers (use generate with onProgress)",
      );
    },
    async compress(examples: readonly Example[], { onProgress, signal }: CompressOptions = {}) {
      const { xprompt } = await ask(compress, { examples: await packExamples(examples) }, { signal });
      // Workers do not tell of single examples.
      await onProgress?.({ done: examples.length, examples: examples.length });
      return VisualPrompt.fromBytes(Buffer.from(xprompt, "base64"));
    },
    async describe(
      what: Example | readonly Example[] | { readonly prompt: VisualPrompt | readonly VisualPrompt[] },
      { signal, ...settings }: DescribeOptions = {},
    ) {
      const prompts =
        "prompt" in what ? await packAll(what.prompt) : [{ examples: await packExamples([what].flat()) }];
      return (await ask(describe, { prompts, ...settings }, { signal })).text;
    },
    async score({ prompt, input, instruction, output }: ScoreOptions) {
      const data = {
        prompts: await packAll(prompt),
        ...(input !== undefined && { input: await packPicture(input, "input") }),
        instruction,
        output: await packPicture(output, "output"),
      };
      return (await ask(score, data, {})).nats;
    },
    async reconstruct(pictures: readonly Picture[]) {
      const packed = pictures.map((picture, i) => packPicture(picture, `pictures[${i}]`));
      const result = await ask(reconstruct, { pictures: await Promise.all(packed) }, {});
      return Promise.all(result.pictures.map((each) => unpackPicture(each, "a result") as Promise<Image>));
    },
  };
  return Object.assign(Object.create(model) as XPrompt, methods as Partial<XPrompt>);
}

async function generateBy(ask: Ask, model: XPrompt, options: GenerateOptions): Promise<Generated> {
  const {
    prompt,
    examples = [],
    library,
    k = 1,
    minSimilarity,
    input,
    onProgress,
    signal,
    ...rest
  } = options;
  const { seed = randomSeed(), samples = 1, instruction, fullSize } = options;
  const shown = await packAll(prompt);
  if (examples.length > 0) shown.push({ examples: await packExamples(examples) });
  // The library is here, not with the workers.
  const { codes } = library ? await encodeInput(model, options, samples) : {};
  /** Codes of the input, for previews. */
  const inputCodes = new Once(async () => codes ?? (await encodeInput(model, options, samples)).codes);
  const retrieved = await library?.retrieve(model, {
    instruction: instruction ?? "",
    ...(codes && { input: { picture: input!, codes } }),
    ...{ k, minSimilarity, signal },
  });
  const data = {
    ...rest,
    ...{ prompts: shown, seed },
    ...(retrieved && { retrieved: await packRetrieved(retrieved, options) }),
    ...(input !== undefined && { input: await packPicture(input, "input") }),
  };
  let told = Promise.resolve();
  let hasEnded = false;
  /** Tells of one row at a time, and of none once the job has ended. */
  const tell = (progress: unknown) => {
    const parsed = generateProgress.safeParse(progress);
    if (!onProgress || !parsed.success) return;
    const { row, rows, codes: sofar } = parsed.data;
    const preview = async () => previewOf(model.tokenizer, sofar, await inputCodes.get());
    told = told.then(() => (hasEnded ? undefined : onProgress({ row, rows, preview }))).catch(() => {});
  };
  const { images, ...result } = await ask(generate, data, { signal, onProgress: tell }).finally(() => {
    hasEnded = true;
    return told;
  });
  const pictures = images.map(async (image, i) => {
    const bytes = await unpackBytes(image, `picture ${i}`);
    return fullSize ? bytes : fromBytes(bytes.width, bytes.height, bytes.data);
  });
  return {
    ...result,
    images: (await Promise.all(pictures)) as unknown as Generated["images"],
    ...(retrieved && { retrieved: retrieved.examples, bestSimilarity: retrieved.best }),
  };
}

/** What a library found, with what its pairs tell about colours where this counts. */
async function packRetrieved(
  { prompt, examples, colours }: Retrieved,
  { fullSize, exampleColours = true }: GenerateOptions,
) {
  const sums = fullSize && exampleColours ? await colours?.() : undefined;
  const told =
    prompt && sums?.length === prompt.blocks.length
      ? VisualPrompt.of(
          prompt.model,
          prompt.blocks.map((block, i) => ({ ...block, colours: sums[i] })),
        )
      : prompt;
  return {
    ...(told && { prompt: await packPrompt(told) }),
    instructions: examples.map(({ instruction }) => instruction),
  };
}

const packAll = (prompt: VisualPrompt | readonly VisualPrompt[] = []) =>
  Promise.all([prompt].flat().map(packPrompt));
