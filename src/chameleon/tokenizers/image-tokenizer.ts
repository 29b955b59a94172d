/** @file The image tokenizer: encodes pictures to codes and decodes codes to pictures, with a trained VQGAN. */
import { XPromptError } from "../../errors.ts";
import { areFinite } from "../../finite.ts";
import { exportOnnx, Graph, type Initializer, reshape, type Scope, type Tensor } from "../../graph/index.ts";
import type { Image } from "../../image/image.ts";
import { metaPreprocessing, type Preprocessing } from "../../image/preprocess.ts";
import { clamp } from "../../numbers.ts";
import { Once } from "../../runtime/once.ts";
import { afterRelease, float32, floats, int64, Session } from "../../runtime/session.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import {
  codesPerImage,
  decodeCodes,
  decodeVectors,
  encoder,
  meanVectors,
  quantize,
  type VqganConfig,
} from "./vqgan.ts";

/** The prefix of all weights of the image tokenizer. */
export const VQ_PREFIX = "model.vqmodel";

/** The name of the codebook, `[codes, embedDim]`. */
export const CODEBOOK = `${VQ_PREFIX}.quantize.embedding.weight`;

/** Whether weights can decode codes to pictures: published checkpoints often have the encoder alone. */
export const hasPictureDecoder = (weights: { has(name: string): boolean }): boolean =>
  weights.has(`${VQ_PREFIX}.decoder.conv_in.weight`);

/** Whether a weight belongs to the image tokenizer. */
export const isOfImages = (name: string): boolean => name.startsWith(`${VQ_PREFIX}.`);

/** The most bytes of intermediate values per run. */
const RUN_BYTES = 2 ** 27;

/** Bytes of intermediate values per picture: copies of the widest level, and attention scores of the lowest. */
export function pictureBytes(config: VqganConfig): number {
  const pixels = config.resolution ** 2 * config.baseChannels * config.channelMultiplier[0]!;
  return Float32Array.BYTES_PER_ELEMENT * (6 * pixels + 2 * codesPerImage(config) ** 2);
}

type Weights = ReadonlyMap<string, Initializer>;

/**
 * An input of the tokenizer: an RGB picture in [0, 1], which is mapped to [−1, 1], or planes of red, green and blue,
 * `[3, side, side]` row by row, about [−1, 1].
 */
export type Pixels = Image | Float32Array;

export interface ImageTokenizerOptions extends SessionOptions {
  /** The checkpoint's own scaling of pixel values. Defaults to [−1, 1]. */
  readonly preprocessing?: Pick<Preprocessing, "scale" | "mean" | "std">;
}

/**
 * Encodes square pictures to the indices of their nearest codebook vectors, and decodes them (VQGAN, or raw patches with a
 * decoder). Both sessions start when they are first needed; `release` frees them.
 */
export class ImageTokenizer {
  private readonly encoding = new Once(() =>
    this.compile((graph, w) => {
      const side = this.config.resolution;
      const pictures = graph.input("pictures", "float32", ["n", 3, side, side]);
      const { codes } = quantize(w, encoder(w, pictures, this.config), this.config);
      return { codes: reshape(codes, ["n", this.codesPerImage]) };
    }),
  );
  private readonly decoding = new Once(() =>
    this.compile((graph, w) => {
      const codes = graph.input("codes", "int64", ["n", this.codesPerImage]);
      return { pictures: decodeCodes(w, codes, this.config) };
    }),
  );
  private readonly vectorDecoding = new Once(() =>
    this.compile((graph, w) => {
      const vectors = graph.input("vectors", "float32", ["n", this.codesPerImage, this.config.embedDim]);
      return { pictures: decodeVectors(w, vectors, this.config) };
    }),
  );
  private readonly averaging = new Once(() =>
    this.compile((graph, w) => {
      const logits = graph.input("logits", "float32", ["n", this.config.codes]);
      return { vectors: meanVectors(w, logits, this.config) };
    }),
  );
  private isReleased = false;

  constructor(
    readonly config: VqganConfig,
    private readonly weights: Weights,
    private readonly options: ImageTokenizerOptions = {},
  ) {
    checkFinite(weights);
  }

  /** Codes of one picture: `[grid²]`, row by row. */
  get codesPerImage(): number {
    return codesPerImage(this.config);
  }

  /** Whether it can decode codes. */
  get canDecode(): boolean {
    return hasPictureDecoder(this.weights);
  }

  /**
   * The codes of one picture: `[grid²]` below the number of codes, row by row from the top left.
   * @param pixels square, of the tokenizer's resolution
   * @throws XPromptError for another size
   */
  async encodeImage(pixels: Pixels): Promise<Int32Array> {
    return (await this.encode([pixels]))[0]!;
  }

  /**
   * The picture of one row of codes: square, of the tokenizer's resolution, limited to [0, 1].
   * @param codes `[grid²]`, below the number of codes
   * @throws XPromptError for other codes, or without a decoder
   */
  async decodeImage(codes: ArrayLike<number>): Promise<Image> {
    return (await this.decode([codes]))[0]!;
  }

  /**
   * The codes of each picture, in batches of at most `RUN_BYTES`.
   * @param images square pictures of the tokenizer's resolution
   */
  async encode(images: readonly Pixels[]): Promise<Int32Array[]> {
    if (images.length === 0) return [];
    const side = this.config.resolution;
    for (const image of images) {
      const expected = (what: string, got: string) =>
        new XPromptError(`encoding a picture: expected ${what}, got ${got}`);
      if (image instanceof Float32Array) {
        if (image.length !== 3 * side * side)
          throw expected(`planes [3, ${side}, ${side}]`, `${image.length} values`);
      } else if (image.width !== side || image.height !== side)
        throw expected(`${side} × ${side} pixels`, `${image.width} × ${image.height}`);
    }
    const session = await this.encoding.get();
    return this.inRuns(images, async (part) => {
      const { codes } = await session.run({
        pictures: float32(toPlanes(part, this.options.preprocessing), [part.length, 3, side, side]),
      });
      const all = codes!.data as BigInt64Array;
      return part.map((_, i) =>
        Int32Array.from({ length: this.codesPerImage }, (_, j) => Number(all[i * this.codesPerImage + j])),
      );
    });
  }

  /**
   * The picture of each row of codes, in batches of at most `RUN_BYTES`.
   * @param codes each `[grid²]`, below the number of codes
   */
  async decode(codes: readonly ArrayLike<number>[]): Promise<Image[]> {
    if (codes.length === 0) return [];
    const count = this.codesPerImage;
    const known = (code: number) => Number.isInteger(code) && code >= 0 && code < this.config.codes;
    this.checkDecoder();
    for (const row of codes) {
      const wrong = Array.from(row).find((code) => !known(code));
      if (row.length !== count || wrong !== undefined)
        throw new XPromptError(
          `decoding a picture: expected ${count} codes below ${this.config.codes}, got ${wrong === undefined ? row.length : `the code ${wrong}`}`,
        );
    }
    const session = await this.decoding.get();
    return this.inRuns(codes, async (part) => {
      const rows = part.flatMap((row) => Array.from(row));
      const { pictures } = await session.run({ codes: int64(rows, [part.length, count]) });
      return fromPlanes(floats(pictures!), this.config.resolution);
    });
  }

  /**
   * The picture of each grid of vectors, which need not be code vectors: for example those of `meanVectors`.
   * @param vectors each `[grid², embedDim]`, in the decoder's input space
   */
  async decodeVectors(vectors: readonly Float32Array[]): Promise<Image[]> {
    if (vectors.length === 0) return [];
    const shape = [this.codesPerImage, this.config.embedDim];
    this.checkDecoder();
    for (const { length } of vectors)
      if (length !== shape[0]! * shape[1]!)
        throw new XPromptError(`decoding a picture: expected vectors [${shape}], got ${length} values`);
    const session = await this.vectorDecoding.get();
    return this.inRuns(vectors, async (part) => {
      const joined = Float32Array.from(part.flatMap((each) => Array.from(each)));
      const { pictures } = await session.run({ vectors: float32(joined, [part.length, ...shape]) });
      return fromPlanes(floats(pictures!), this.config.resolution);
    });
  }

  /**
   * The mean code vector under each softmax of logits.
   * @param logits each `[codes]`
   * @returns `[logits, embedDim]`, in the decoder's input space
   */
  async meanVectors(logits: readonly Float32Array[]): Promise<Float32Array> {
    const { codes } = this.config;
    const rows = new Float32Array(logits.length * codes);
    for (const [i, row] of logits.entries()) {
      if (row.length !== codes)
        throw new XPromptError(
          `averaging code vectors: expected logits of ${codes} codes, got ${row.length}`,
        );
      rows.set(row, i * codes);
    }
    const session = await this.averaging.get();
    const { vectors } = await session.run({ logits: float32(rows, [logits.length, codes]) });
    return floats(vectors!);
  }

  private checkDecoder(): void {
    if (!this.canDecode)
      throw new XPromptError(
        "decoding a picture: expected an image tokenizer with its decoder, got the encoder alone, as Hugging Face's Chameleon checkpoints have it " +
          "(put Meta's vqgan.ckpt, or a VQ-VAE as the folder image_tokenizer, into the model's folder, or give its path as imageTokenizer)",
      );
  }

  /** Frees the memory. Calling it again is fine. */
  async release(): Promise<void> {
    this.isReleased = true;
    for (const session of [this.encoding, this.decoding, this.vectorDecoding, this.averaging])
      await (await session.ifMade())?.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /** Runs items in batches of at most `RUN_BYTES`. */
  private async inRuns<T, R>(
    items: readonly T[],
    run: (part: readonly T[]) => Promise<readonly R[]>,
  ): Promise<R[]> {
    const most = Math.max(1, Math.floor(RUN_BYTES / pictureBytes(this.config)));
    const results: R[] = [];
    for (let at = 0; at < items.length; at += most) results.push(...(await run(items.slice(at, at + most))));
    return results;
  }

  private async compile(build: (graph: Graph, w: Scope) => Record<string, Tensor>): Promise<Session> {
    if (this.isReleased) throw afterRelease();
    const graph = new Graph();
    const outputs = build(graph, graph.scope().at(VQ_PREFIX));
    return Session.create(exportOnnx(outputs, { weights: this.weights }), this.options);
  }
}

/** Refuses weights with NaN or infinity, which would encode every picture to the same codes and decode all codes to black. */
function checkFinite(weights: Weights): void {
  for (const [name, { data }] of weights)
    if (data instanceof Float32Array && !areFinite(data))
      throw new XPromptError(
        `loading an image tokenizer: ${name}: expected finite numbers, got others (the weights are damaged: copy them again)`,
      );
}

/** Pictures of one size as planes `[n, 3, height, width]`. The preprocessing defaults to [−1, 1]. */
export function toPlanes(
  images: readonly Pixels[],
  { scale, mean, std }: Pick<Preprocessing, "scale" | "mean" | "std"> = metaPreprocessing,
): Float32Array {
  const sizes = images.map((image) => (image instanceof Float32Array ? image.length : image.data.length));
  const planes = new Float32Array(sizes.reduce((sum, size) => sum + size, 0));
  let start = 0;
  for (const [n, image] of images.entries()) {
    if (image instanceof Float32Array) planes.set(image, start);
    else {
      const pixels = image.width * image.height;
      for (let c = 0; c < 3; c++)
        for (let i = 0; i < pixels; i++)
          planes[start + c * pixels + i] = (image.data[i * 3 + c]! * (255 * scale) - mean[c]!) / std[c]!;
    }
    start += sizes[n]!;
  }
  return planes;
}

/** Planes of values in [−1, 1] as pictures, limited to [0, 1]: the inverse of `toPlanes` with the default preprocessing. */
export function fromPlanes(planes: Float32Array, side: number): Image[] {
  const pixels = side * side;
  return Array.from({ length: planes.length / (3 * pixels) }, (_, n) => {
    const data = new Float32Array(3 * pixels);
    for (let c = 0; c < 3; c++) {
      const start = (n * 3 + c) * pixels;
      for (let i = 0; i < pixels; i++) data[i * 3 + c] = clamp((planes[start + i]! + 1) / 2);
    }
    return { width: side, height: side, data };
  });
}
