/**
 * A provider for the Vercel AI SDK (https://ai-sdk.dev): an image model on a server started with `xprompt serve`. Runs
 * wherever there is `fetch`.
 *
 * @module x-prompt/ai-sdk
 * @example
 * const xprompt = createXPrompt({ baseURL: "http://127.0.0.1:8000/v1" });
 * const { images, providerMetadata } = await generateImage({
 *   model: xprompt.image("nano"),
 *   prompt: { images: [photo], text: "" },
 *   seed: 7,
 *   providerOptions: { xprompt: { examples: [{ input: dataUrl(before), output: dataUrl(after) }] } },
 * });
 */
import {
  APICallError,
  type ImageModelV4,
  type ImageModelV4CallOptions,
  type ImageModelV4File,
  type ImageModelV4Result,
  NoSuchModelError,
  type ProviderV4,
} from "@ai-sdk/provider";
import { type Event, eventsOf } from "./events.ts";

export interface XPromptProviderSettings {
  /** Defaults to `http://127.0.0.1:8000/v1`. */
  readonly baseURL?: string;
  readonly apiKey?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly fetch?: typeof globalThis.fetch;
}

/** Options in `providerOptions.xprompt`. Pictures are data URLs or base64. */
export interface XPromptOptions {
  readonly examples?: readonly {
    readonly input: string;
    readonly output: string;
    readonly instruction?: string;
  }[];
  /** One or several visual prompts: their ids on the server, or `.xprompt` files as data URLs. */
  readonly xprompt?: string | readonly string[];
  readonly library?: boolean | string;
  /** The most examples of the library. */
  readonly k?: number;
  readonly min_similarity?: number;
  readonly guidance?:
    | number
    | { readonly image?: number; readonly text?: number; readonly examples?: number };
  readonly temperature?: number;
  readonly top_k?: number;
  readonly top_p?: number;
  readonly expected?: boolean;
  readonly one_pass?: boolean;
  readonly full_size?: boolean;
  /** At full size: false applies the drawing even where a map of colours explains the examples. */
  readonly example_colours?: boolean;
  readonly output_format?: "png" | "jpeg" | "webp";
  /** Quality of a JPEG or WebP, 0 to 100. */
  readonly output_compression?: number;
  /** Number of partial pictures for each picture, 0 to 3: `providerMetadata.xprompt.images[i].previews`. */
  readonly partial_images?: number;
}

/** A partial or a complete picture. */
export type ImageStreamPart =
  | {
      readonly type: "preview";
      readonly image: number;
      readonly base64: string;
      readonly row: number;
      readonly rows: number;
    }
  | {
      readonly type: "image";
      readonly image: number;
      readonly base64: string;
      readonly seed: number;
      readonly size: string;
      readonly usage: Usage;
      /** At full size: where the change comes from. */
      readonly changeFrom?: "example colours" | "drawing";
      /** Tokens of the prompt that the model left out, because the prompt is too long for it. */
      readonly unreadTokens?: number;
      /** The examples of a library that were used, most similar first. */
      readonly retrieved?: readonly {
        readonly id: string;
        readonly instruction: string;
        readonly similarity: number;
      }[];
    };

type Made = Omit<Extract<ImageStreamPart, { type: "image" }>, "type" | "image" | "usage"> & {
  readonly previews: readonly string[];
};

interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly total_tokens: number;
}

type Options = Partial<ImageModelV4CallOptions>;

export interface XPromptImageModel extends ImageModelV4 {
  /** Generates with an event per row of codes; the SDK itself cannot stream pictures. */
  stream(options: Options): AsyncGenerator<ImageStreamPart>;
}

export interface XPromptProvider extends ProviderV4 {
  image(modelId: string): XPromptImageModel;
  imageModel(modelId: string): XPromptImageModel;
}

export function createXPrompt(settings: XPromptProviderSettings = {}): XPromptProvider {
  const image = (modelId: string): XPromptImageModel => {
    const stream = (options: Options) => draw(settings, modelId, options, { every_row: true });
    return {
      ...{ specificationVersion: "v4", provider: "xprompt", modelId, maxImagesPerCall: 10 },
      ...{ supportsFileInputs: true, supportsMaskInputs: true, stream },
      doGenerate: (options) => generate(settings, modelId, options),
    };
  };
  const none = (modelType: "languageModel" | "embeddingModel") => (modelId: string) => {
    throw new NoSuchModelError({ modelId, modelType });
  };
  return {
    ...{ specificationVersion: "v4", image, imageModel: image },
    ...{ languageModel: none("languageModel"), embeddingModel: none("embeddingModel") },
  };
}

/** The bytes of a picture as a data URL. */
export function dataUrl(bytes: Uint8Array, mediaType = "image/png"): string {
  let text = "";
  // In chunks, because the number of arguments of a call is limited.
  for (let at = 0; at < bytes.length; at += 0x8000)
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return `data:${mediaType};base64,${btoa(text)}`;
}

async function generate(
  settings: XPromptProviderSettings,
  modelId: string,
  options: ImageModelV4CallOptions,
): Promise<ImageModelV4Result> {
  const { aspectRatio } = options;
  const images: Made[] = [];
  const usage = { inputTokens: 0, outputTokens: 0, totalTokens: 0 };
  const previews = new Map<number, string[]>();
  const timestamp = new Date();
  for await (const part of draw(settings, modelId, options, {})) {
    if (part.type === "preview") previews.set(part.image, [...(previews.get(part.image) ?? []), part.base64]);
    else {
      const { type: _, image, usage: used, ...made } = part;
      images[image] = { ...made, previews: previews.get(image) ?? [] };
      usage.inputTokens += used.input_tokens;
      usage.outputTokens += used.output_tokens;
      usage.totalTokens += used.total_tokens;
    }
  }
  return {
    images: images.map(({ base64 }) => base64),
    warnings: warningsOf(aspectRatio, images[0]?.unreadTokens),
    providerMetadata: { xprompt: { images: images.map(({ base64: _, ...told }) => told) } },
    response: { timestamp, modelId, headers: undefined },
    usage,
  };
}

function warningsOf(
  aspectRatio: string | undefined,
  unreadTokens: number | undefined,
): ImageModelV4Result["warnings"] {
  const warnings: ImageModelV4Result["warnings"] = [];
  if (aspectRatio !== undefined)
    warnings.push({
      ...{ type: "unsupported", feature: "aspectRatio" },
      details: "use size instead; without it, a result has the size of the picture",
    });
  if (unreadTokens !== undefined)
    warnings.push({
      type: "other",
      message: `the prompt is too long for the model: its last tokens were cut off (${unreadTokens})`,
    });
  return warnings;
}

async function* draw(
  settings: XPromptProviderSettings,
  modelId: string,
  options: Options,
  more: object,
): AsyncGenerator<ImageStreamPart> {
  const { prompt, n, size, seed, files = [], mask, providerOptions, abortSignal, headers } = options;
  const { baseURL = "http://127.0.0.1:8000/v1", apiKey, fetch = globalThis.fetch } = settings;
  const url = `${baseURL.replace(/\/+$/, "")}/images/${files.length > 0 ? "edits" : "generations"}`;
  const body = {
    ...{ model: modelId, prompt, n, size, seed, stream: true, ...more, ...providerOptions?.xprompt },
    ...(files.length > 0 && { images: files.map((file) => ({ image_url: urlOf(file) })) }),
    ...(mask && { mask: { image_url: urlOf(mask) } }),
  };
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
      ...settings.headers,
      ...Object.fromEntries(Object.entries(headers ?? {}).filter(([, value]) => value !== undefined)),
    } as Record<string, string>,
    body: JSON.stringify(body),
    signal: abortSignal,
  });
  const failure = (text: string, statusCode: number) =>
    new APICallError({
      ...{
        message: errorIn(text).message ?? text,
        url,
        requestBodyValues: {},
        statusCode,
        responseBody: text,
      },
      isRetryable: [429, 503].includes(statusCode),
    });
  if (!response.ok || !response.body) throw failure(await response.text(), response.status);
  const count = n ?? 1;
  let complete = 0;
  for await (const event of eventsOf(response.body)) {
    if (event.name === "error") throw failure(event.data, statusOf(errorIn(event.data)));
    const part = partOf(event);
    if (part?.type === "image") complete++;
    if (part) yield part;
  }
  if (complete < count)
    throw new APICallError({
      message: `generating: expected the whole stream, got ${complete} of ${count} pictures (try again)`,
      ...{ url, requestBodyValues: {}, isRetryable: true },
    });
}

/** The content of an event; undefined for events of the queue. */
function partOf({ name, data }: Event): ImageStreamPart | undefined {
  const told = JSON.parse(data);
  const { image_index: image, b64_json: base64, row, rows, seed, size, usage } = told;
  if (name.endsWith(".partial_image")) return { type: "preview", image, base64, row, rows };
  if (!name.endsWith(".completed")) return undefined;
  return {
    ...{ type: "image", image, base64, seed, size, usage },
    ...(told.change_from && { changeFrom: told.change_from }),
    ...(told.unread_tokens && { unreadTokens: told.unread_tokens }),
    ...(told.retrieved && { retrieved: told.retrieved }),
  };
}

type ServerError = Partial<Record<"message" | "type" | "code", string | null>>;

/** The server's error in a response or an event; empty for another text. */
function errorIn(text: string): ServerError {
  try {
    return JSON.parse(text).error ?? {};
  } catch {
    return {};
  }
}

const statusOfCode: Readonly<Record<string, number>> = {
  ...{ queue_away: 503, shutting_down: 503, unavailable: 503, timeout: 504 },
};
const statusOfType: Readonly<Record<string, number>> = {
  ...{ invalid_request_error: 400, authentication_error: 401, rate_limit_error: 429 },
};

/** The status of an error in a stream, whose response began with 200. */
const statusOf = ({ type, code }: ServerError): number =>
  statusOfCode[code ?? ""] ?? statusOfType[type ?? ""] ?? 500;

function urlOf(file: ImageModelV4File): string {
  if (file.type === "url") return file.url;
  return typeof file.data === "string"
    ? `data:${file.mediaType};base64,${file.data}`
    : dataUrl(file.data, file.mediaType);
}
