/**
 * @file Generates the pictures of a request together. Picture i has seed + i, and does not depend on the others; but
 * several pictures are sampled, where a single one may be the mean codebook vector.
 */

import type { ByteImage, Image } from "../image/index.ts";
import { allOrAbort } from "../runtime/abort.ts";
import { defined } from "../settings.ts";
import type { Generated, GenerateOptions } from "../xprompt/model.ts";
import { SAMPLED } from "../xprompt/request.ts";
import type { ImagesResponse, Timings, Usage } from "./answers.ts";
import type { AskedPictures } from "./asked-pictures.ts";
import { now } from "./clock.ts";
import { applyMask, encoded, fitTo } from "./pictures.ts";
import type { Services } from "./services.ts";

/** Progress: one more row of codes. */
export interface Row {
  /** Index of the picture, from 0. */
  readonly image: number;
  readonly images: number;
  /** Complete rows of codes, of `rows`. */
  readonly row: number;
  readonly rows: number;
  /** Complete rows of all pictures, of `images · rows`. */
  readonly done: number;
  preview(): Promise<Image>;
}

/** A finished picture. */
export interface Finished {
  readonly image: number;
  readonly seed: number;
  readonly base64: string;
  readonly size: string;
  readonly usage: Usage;
  /** What an answer says about a result besides its picture. */
  readonly notes: Pick<ImagesResponse, "settings" | "change_from" | "unread_tokens" | "retrieved">;
  readonly timings: Omit<Timings, "queued">;
}

export interface Watching {
  readonly signal: AbortSignal;
  onRow?(row: Row): void | Promise<void>;
  onFinished?(picture: Finished): void;
}

/** Generates all pictures of a request. @returns the response, without the time in the queue */
export async function drawPictures(
  asked: AskedPictures,
  services: Services,
  watching: Watching,
): Promise<Omit<ImagesResponse, "timings"> & { readonly timings: Omit<Timings, "queued"> }> {
  const { engine, model } = services;
  const started = performance.now();
  const options = optionsOf(asked, services);
  const done = Array.from({ length: asked.count }, () => 0);
  const generateOne = async (image: number, signal: AbortSignal) => {
    const result = await engine.generate({
      ...options,
      seed: asked.seed + image,
      signal,
      onProgress({ row, rows, preview }) {
        done[image] = row;
        return watching.onRow?.({
          ...{ image, images: asked.count, row, rows },
          done: done.reduce((sum, each) => sum + each),
          preview: async () => (await preview())[0]!,
        });
      },
    });
    signal.throwIfAborted();
    const finished = await finish(result, asked, image, services);
    services.metrics.count("xprompt_pictures_total", "Generated pictures.");
    watching.onFinished?.(finished);
    return finished;
  };
  const pictures = await allOrAbort([...done.keys()], generateOne, watching.signal);
  const first = pictures[0]!;
  const longest = (part: keyof Finished["timings"]) =>
    Math.max(...pictures.map(({ timings }) => timings[part]));
  return {
    created: now(),
    data: pictures.map(({ base64, seed }) => ({
      ...(asked.asUrl ? { url: dataUrl(asked, base64) } : { b64_json: base64 }),
      seed,
    })),
    ...lookOf(asked, first.size),
    usage: pictures.map(({ usage }) => usage).reduce(addUsage),
    ...{ model, fingerprint: engine.fingerprint },
    ...first.notes,
    timings: {
      prepare: longest("prepare"),
      draw: longest("draw"),
      decode: longest("decode"),
      total: performance.now() - started,
    },
  };
}

/** The description of pictures in every response and event. */
export const lookOf = ({ format }: AskedPictures, size: string) => ({
  background: "opaque" as const,
  output_format: format,
  quality: "auto" as const,
  size,
});

export const dataUrl = ({ format }: AskedPictures, base64: string): string =>
  `data:image/${format};base64,${base64}`;

function optionsOf(asked: AskedPictures, { sources }: Services): GenerateOptions {
  const { instruction, count, sampling, input, fullSize, examples, prompts, library, k, minSimilarity } =
    asked;
  return {
    // Several pictures are to differ, as the samples of one request do.
    ...(count > 1 && SAMPLED),
    ...defined(sampling),
    ...{ instruction, input, fullSize, examples },
    ...(prompts.length > 0 && { prompt: prompts.map(({ prompt }) => prompt) }),
    ...(library !== undefined && { library: sources.get(library), k, minSimilarity }),
  };
}

async function finish(
  result: Generated<Image | ByteImage>,
  asked: AskedPictures,
  image: number,
  services: Services,
): Promise<Finished> {
  const started = performance.now();
  const { images, tokens, timings, changeFrom, retrieved } = result;
  const { input, mask, size, format, quality } = asked;
  let picture: Image | ByteImage = images[0];
  // With a mask the result has full size, which has 8 bits.
  if (mask && input) picture = await applyMask(picture as ByteImage, input, mask);
  if (size) picture = await fitTo(picture, size);
  const seed = asked.seed + image;
  const about = { seed, model: services.model, ...storedSettings(asked, result) };
  const base64 = await encoded(picture, { format, quality, about });
  const encoding = performance.now() - started;
  const imageTokens = tokens.examples + (input ? services.engine.codesPerImage : 0);
  const inputTokens = tokens.examples + tokens.prompt;
  return {
    ...{ image, seed, base64, size: `${picture.width}x${picture.height}` },
    usage: {
      input_tokens: inputTokens,
      output_tokens: tokens.generated,
      total_tokens: inputTokens + tokens.generated,
      input_tokens_details: {
        text_tokens: Math.max(0, inputTokens - imageTokens),
        image_tokens: imageTokens,
      },
    },
    notes: {
      settings: result.settings,
      ...(changeFrom && { change_from: changeFrom }),
      ...(tokens.unread > 0 && { unread_tokens: tokens.unread }),
      ...(retrieved && {
        retrieved: retrieved.map(({ id, instruction, similarity }) => ({ id, instruction, similarity })),
      }),
    },
    timings: { ...timings, decode: timings.decode + encoding, total: timings.total + encoding },
  };
}

/** The settings that are stored in a picture, so that it can be made again. */
function storedSettings(asked: AskedPictures, result: Generated<Image | ByteImage>) {
  const { instruction, sampling, input, mask, fullSize, examples, prompts, library, k, minSimilarity } =
    asked;
  return {
    ...{ instruction, fingerprint: result.model, ...result.settings },
    exampleColours: sampling.exampleColours,
    ...(input && { fullSize, changeFrom: result.changeFrom, mask: mask !== undefined }),
    /** Pairs in the request. */
    examples: examples.length,
    xprompt: prompts.map(({ id }) => id),
    ...(library !== undefined && {
      ...{ library, k, minSimilarity },
      retrieved: result.retrieved?.map(({ id }) => id),
    }),
  };
}

const addUsage = (a: Usage, b: Usage): Usage => ({
  input_tokens: a.input_tokens + b.input_tokens,
  output_tokens: a.output_tokens + b.output_tokens,
  total_tokens: a.total_tokens + b.total_tokens,
  input_tokens_details: {
    text_tokens: a.input_tokens_details.text_tokens + b.input_tokens_details.text_tokens,
    image_tokens: a.input_tokens_details.image_tokens + b.input_tokens_details.image_tokens,
  },
});
