/**
 * The model in a browser, for bundlers that follow the `browser` field of package.json (Vite, webpack, esbuild, Rollup).
 * Needs `onnxruntime-web` and `@noble/hashes`.
 *
 * @module x-prompt/web
 * @example
 * import { env, XPrompt } from "x-prompt/web";
 *
 * env.wasm.wasmPaths = new URL("./ort/", document.baseURI).href; // files of onnxruntime-web/dist
 * const model = await XPrompt.load("./models/nano/");
 * const { images } = await model.generate({ examples: [{ input: before, output: after }], input: photo, seed: 1 });
 */

export { env } from "onnxruntime-web/wasm";
export type { Tokenizer } from "./chameleon/tokenizers/tokenizer.ts";
export { type ErrorCode, UsageError, XPromptError } from "./errors.ts";
export { encodePng } from "./image/canvas-png.ts";
export type { PngOptions } from "./image/encode-png.ts";
export { type ByteImage, createImage, fromBytes, type Image, toBytes } from "./image/image.ts";
export { type LoadOptions as LoadImageOptions, loadImage } from "./image/load.ts";
export { type Filter, resize } from "./image/resize.ts";
export type { Device, SessionOptions } from "./runtime/session-options.ts";
export type { ModelConfig } from "./xprompt/config.ts";
export type { ExampleSource, RetrievedExample } from "./xprompt/example-source.ts";
export { type FetchModelOptions, fetchModel } from "./xprompt/fetch-model.ts";
export {
  type CompressOptions,
  type DescribeOptions,
  type DrawingSettings,
  type Example,
  type Generated,
  type GenerateOptions,
  type GenerateStep,
  type Picture,
  type Progress,
  type ScoreOptions,
  type StreamOptions,
  XPrompt,
} from "./xprompt/model.ts";
export type { ModelFiles } from "./xprompt/parts.ts";
export { type ExampleBlock, VisualPrompt } from "./xprompt/prompt.ts";
export type { Guidance } from "./xprompt/request.ts";
