/**
 * In-context image generation: show before → after pairs, get the same change on your image.
 *
 * @module x-prompt
 * @example
 * const model = await XPrompt.load("nano");
 * const prompt = await model.compress([{ input: "before.png", output: "after.png" }]);
 * const { images } = await model.generate({ prompt, input: "photo.jpg", seed: 7 });
 * await saveImage("out.png", images[0]);
 */

export {
  Chameleon,
  type Completed,
  type CompletedPart,
  type CompleteOptions,
  type Completion,
  type CompletionProgress,
  type PromptPart,
} from "./chameleon/chameleon.ts";
export type { ChameleonConfig, DecoderConfig } from "./chameleon/checkpoint/config.ts";
export type { ChameleonOptions } from "./chameleon/checkpoint/read.ts";
export type { CacheBlock } from "./chameleon/model/cache.ts";
export type { CompletionGuidance } from "./chameleon/model/complete.ts";
export type { Mode, PictureLayoutName } from "./chameleon/model/grammar.ts";
export type { ImageTokenizer, Pixels } from "./chameleon/tokenizers/image-tokenizer.ts";
export type { TextTokenizer } from "./chameleon/tokenizers/text-tokenizer.ts";
export type { Tokenizer } from "./chameleon/tokenizers/tokenizer.ts";
export type { Vocabulary } from "./chameleon/tokenizers/vocabulary.ts";
export type { VqganConfig } from "./chameleon/tokenizers/vqgan-config.ts";
export { type ErrorCode, UsageError, XPromptError } from "./errors.ts";
export type { ColourSums } from "./image/example-colours.ts";
export {
  type ByteImage,
  contactSheet,
  createImage,
  crop,
  encodeImage,
  encodePng,
  type Filter,
  fromBytes,
  type Image,
  type LoadOptions as LoadImageOptions,
  loadImage,
  type PngOptions,
  readImageText,
  readPngText,
  resize,
  type SheetCell,
  type SheetOptions,
  type SheetRow,
  saveImage,
  savePng,
  toBytes,
} from "./image/index.ts";
export type { Window as ResizeWindow } from "./image/resize.ts";
export type { EncodeOptions } from "./image/save.ts";
export {
  type Added,
  type AddOptions,
  ClipEmbedder,
  compileExamples,
  defaultWeights,
  type Embedder,
  type EmbeddingSpace,
  ExampleLibrary,
  type ExportOptions as ExportExamplesOptions,
  exampleSheet,
  exportExamples,
  type Facts,
  type Found,
  type ModelEmbedder,
  modelEmbedder,
  type NewExample,
  type OpenOptions,
  type Query,
  Retriever,
  type RetrieverOptions,
  type StoredExample,
  type Vectors,
  type Weights,
} from "./retrieval/index.ts";
export type { WriteOptions } from "./runtime/files.ts";
export type { Device, SessionOptions } from "./runtime/session-options.ts";
export { Batcher, type BatcherOptions } from "./xprompt/batcher.ts";
export type { ModelConfig } from "./xprompt/config.ts";
export type {
  AskingModel,
  ExampleRequest,
  ExampleSource,
  Retrieved,
  RetrievedExample,
} from "./xprompt/example-source.ts";
export {
  type CompressOptions,
  type DescribeOptions,
  type DrawingSettings,
  type Example,
  type Generated,
  type GenerateOptions,
  type GenerateStep,
  type LoadOptions,
  type Picture,
  type Progress,
  type ScoreOptions,
  type StreamOptions,
  XPrompt,
} from "./xprompt/model.ts";
export type { ModelFiles } from "./xprompt/parts.ts";
export { type ExampleBlock, VisualPrompt } from "./xprompt/prompt.ts";
export type { Guidance } from "./xprompt/request.ts";
export type { Codes, XPromptConfig } from "./xprompt/sequence.ts";
