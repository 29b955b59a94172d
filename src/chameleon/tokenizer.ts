/** @file Both tokenizers of a model as its users see them: pictures and text to codes and ids, and back. */
import { XPromptError } from "../errors.ts";
import type { Image } from "../image/index.ts";
import type { ImageTokenizer } from "./image-tokenizer.ts";
import type { TextTokenizer } from "./text-tokenizer.ts";
import type { Vocabulary } from "./vocabulary.ts";

export class Tokenizer {
  constructor(
    private readonly text: TextTokenizer,
    private readonly image: ImageTokenizer,
    /** Whether codes can be turned into pixels: Meta's release in Hugging Face's layout has no decoder. */
    readonly decodesImages: boolean,
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

  /**
   * The codes of a picture.
   * @param pixels `size` × `size`, interleaved RGB in [0, 1]
   * @returns `[grid²]`, row by row, each below the number of codes
   * @throws XPromptError for another size
   */
  async encodeImage(pixels: Image): Promise<Int32Array> {
    return (await this.encodeImages([pixels]))[0]!;
  }

  /** The codes of each picture, `encodeImage` in one run. */
  async encodeImages(pixels: readonly Image[]): Promise<Int32Array[]> {
    return this.image.encode(pixels);
  }

  /**
   * The picture of codes.
   * @param codes `[grid²]`, row by row
   * @returns `size` × `size` pixels, interleaved RGB in [0, 1]
   * @throws XPromptError for another number of codes, one out of range, or a checkpoint without the decoder
   */
  async decodeImage(codes: ArrayLike<number>): Promise<Image> {
    return (await this.decodeImages([codes]))[0]!;
  }

  /** The picture of each row of codes, `decodeImage` in one run. */
  async decodeImages(codes: readonly ArrayLike<number>[]): Promise<Image[]> {
    if (codes.length > 0 && !this.decodesImages)
      throw new XPromptError(
        "decoding a picture: expected a model whose image tokenizer can decode, got one that can not (add Meta's vqgan.ckpt to its folder, see docs/chameleon.md)",
      );
    return this.image.decode(codes);
  }

  /** Text as token ids, nothing added; names of control tokens in it are spelled out like any other text. */
  encodeText(text: string): number[] {
    return this.text.encode(text);
  }

  /** The text of token ids; image and control tokens are left out. */
  decodeText(ids: Iterable<number>): string {
    return this.text.decode(ids);
  }

  async release(): Promise<void> {
    await this.image.release();
  }
}
