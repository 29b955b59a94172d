/**
 * @file Continuous batching: concurrent requests share the decoding steps of one model. A request joins and leaves at
 * any step. With plain weights, its pictures do not depend on the other requests (docs/batching.md).
 */
import { Batch } from "../chameleon/model/batch.ts";
import { UsageError, XPromptError } from "../errors.ts";
import type { ByteImage, Image } from "../image/index.ts";
import { checkKeys, type Names } from "../runtime/option-names.ts";
import { Compressor } from "./compress.ts";
import type { AskingModel } from "./example-source.ts";
import { FullSizeThreads } from "./full-size-threads.ts";
import { type GeneratingModel, generated, generateSteps } from "./generate.ts";
import {
  type CompressOptions,
  type Example,
  type Generated,
  type GenerateOptions,
  type GenerateStep,
  optionNames,
  type StreamOptions,
} from "./options.ts";
import type { VisualPrompt } from "./prompt.ts";
import { PromptCache } from "./prompt-cache.ts";

export interface BatcherOptions {
  /**
   * The most rows that share a step. A request takes one row per sample and guidance condition. Further requests wait
   * in order of arrival. A request that alone has more rows runs alone. Defaults to 32.
   */
  readonly maxRows?: number;
  /** The most bytes that the rows may take; further requests wait. Defaults to half of the free memory at first use. */
  readonly maxBytes?: number;
  /** Size of the cache of compressed examples, in bytes. Defaults to 64 MiB; 0 disables the cache. */
  readonly cacheBytes?: number;
}

const names = { maxRows: true, maxBytes: true, cacheBytes: true } satisfies Names<BatcherOptions>;
const MAX_ROWS = 32;
const CACHE_BYTES = 64 * 2 ** 20;

/**
 * @example
 * const batcher = new Batcher(model);
 * const results = await Promise.all(photos.map((input) => batcher.generate({ examples, input })));
 */
export class Batcher {
  private readonly model: GeneratingModel;
  private readonly batch: Batch;
  private readonly threads = new FullSizeThreads();
  private isReleased = false;

  /**
   * @param model an `XPrompt`; the caller releases it
   * @throws UsageError for options out of range
   */
  constructor(model: AskingModel, options: BatcherOptions = {}) {
    const doing = "batching";
    checkKeys(doing, options, names);
    const { maxRows = MAX_ROWS, maxBytes, cacheBytes = CACHE_BYTES } = options;
    requireWhole(doing, "maxRows", maxRows, 1);
    if (maxBytes !== undefined) requireWhole(doing, "maxBytes", maxBytes, 1);
    requireWhole(doing, "cacheBytes", cacheBytes, 0);
    const cache = cacheBytes > 0 ? new PromptCache(cacheBytes) : undefined;
    const compressor = new Compressor(model.config, model.fingerprint, model.base, cache);
    this.model = {
      config: model.config,
      fingerprint: model.fingerprint,
      base: model.base,
      size: model.size,
      compress: (shown, given = {}) => compressor.compress(shown, given),
      compressor,
      fullSize: this.threads.apply,
    };
    this.batch = new Batch(model.base.decoder, { maxRows, maxBytes });
  }

  /** As `XPrompt.compress`, with a cache of recent examples. @throws as `XPrompt.compress` */
  async compress(examples: readonly Example[], options: CompressOptions = {}): Promise<VisualPrompt> {
    checkKeys("compressing", options, optionNames.compress);
    return this.model.compressor.compress(examples, options);
  }

  /**
   * As `XPrompt.generate`, with the same result; with quantized weights, other requests may change the codes.
   * @throws as `XPrompt.generate`
   */
  async generate(options: GenerateOptions & { readonly fullSize: true }): Promise<Generated<ByteImage>>;
  async generate(options: GenerateOptions & { readonly fullSize?: false }): Promise<Generated>;
  async generate(options: GenerateOptions): Promise<Generated<Image | ByteImage>>;
  async generate(options: GenerateOptions): Promise<Generated<Image | ByteImage>> {
    checkKeys("generating", options, optionNames.generate);
    this.check(options);
    return generated(this.model, options, this.batch);
  }

  /** As `XPrompt.stream`, with the same steps. A slow consumer does not hold up the other requests. */
  stream(options: StreamOptions & { readonly fullSize: true }): AsyncGenerator<GenerateStep<ByteImage>>;
  stream(options: StreamOptions & { readonly fullSize?: false }): AsyncGenerator<GenerateStep>;
  stream(options: StreamOptions): AsyncGenerator<GenerateStep<Image | ByteImage>>;
  stream(options: StreamOptions): AsyncGenerator<GenerateStep<Image | ByteImage>> {
    checkKeys("generating", options, optionNames.stream);
    this.check(options);
    return generateSteps(this.model, options, this.batch);
  }

  /**
   * Ends the threads that bring results to full size; such a request is refused afterwards. Idle threads do not keep a
   * process alive. Further calls do nothing.
   */
  release(): Promise<void> {
    this.isReleased = true;
    return this.threads.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  private check({ fullSize }: Pick<GenerateOptions, "fullSize">): void {
    if (fullSize && this.isReleased)
      throw new XPromptError(
        "generating at full size: expected an open batcher, got a released one (make another)",
        { code: "ERR_RELEASED" },
      );
  }
}

function requireWhole(doing: string, name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw new UsageError(`${doing}: ${name}: expected a whole number from ${least}, got ${String(value)}`);
}
