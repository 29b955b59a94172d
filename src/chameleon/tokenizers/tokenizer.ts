/** @file The public face of the tokenizers of a model: encodes and decodes pictures and text. */
import type { Image } from "../../image/index.ts";
import type { ImageTokenizer, Pixels } from "./image-tokenizer.ts";
import type { TextTokenizer } from "./text-tokenizer.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** The text and the image tokenizer of a model, as one. The model owns and releases them. */
export class Tokenizer {
  constructor(
    private readonly text: TextTokenizer,
    private readonly image: ImageTokenizer,
  ) {}

  get vocabulary(): Vocabulary {
    return this.text.vocabulary;
  }

  /** Side of the pictures in pixels. */
  get size(): number {
    return this.image.config.resolution;
  }

  /** Codes of a picture, grid². */
  get codesPerImage(): number {
    return this.image.codesPerImage;
  }

  /** Whether it can decode codes: Meta's release in Hugging Face's layout has no decoder. */
  get decodesImages(): boolean {
    return this.image.canDecode;
  }

  /**
   * The codes of a picture.
   * @param pixels `size` × `size`: RGB in [0, 1]; or planes of red, green and blue, about [−1, 1]
   * @returns `[grid²]`, row by row, each below the number of codes
   * @throws XPromptError for another size
   */
  async encodeImage(pixels: Pixels): Promise<Int32Array> {
    return this.image.encodeImage(pixels);
  }

  /** The codes of each picture: `encodeImage` as a batch. */
  async encodeImages(pixels: readonly Pixels[]): Promise<Int32Array[]> {
    return this.image.encode(pixels);
  }

  /**
   * The picture of codes.
   * @param codes `[grid²]`, row by row
   * @returns `size` × `size` pixels, interleaved RGB in [0, 1]
   * @throws XPromptError for another number of codes, one out of range, or a checkpoint without the decoder
   */
  async decodeImage(codes: ArrayLike<number>): Promise<Image> {
    return this.image.decodeImage(codes);
  }

  /** The picture of each row of codes: `decodeImage` as a batch. */
  async decodeImages(codes: readonly ArrayLike<number>[]): Promise<Image[]> {
    return this.image.decode(codes);
  }

  /**
   * The picture of each grid of vectors, which need not be code vectors: for example those of `meanVectors`.
   * @param vectors each `[grid², width]`, in the decoder's input space
   */
  async decodeVectors(vectors: readonly Float32Array[]): Promise<Image[]> {
    return this.image.decodeVectors(vectors);
  }

  /**
   * The mean code vector under each softmax of logits.
   * @param logits each `[codes]`
   * @returns `[logits, width]`, in the decoder's input space
   */
  async meanVectors(logits: readonly Float32Array[]): Promise<Float32Array> {
    return this.image.meanVectors(logits);
  }

  /** The token ids of a text, without special tokens; names of control tokens in it are encoded as text. */
  encodeText(text: string): number[] {
    return this.text.encode(text);
  }

  /** The text of token ids; image and control tokens are omitted. */
  decodeText(ids: Iterable<number>): string {
    return this.text.decode(ids);
  }

  /** Frees the memory. Calling it again is fine. */
  async release(): Promise<void> {
    await this.image.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
