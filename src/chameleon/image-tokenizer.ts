/** @file Pictures to codes and back, with the trained VQGAN. */
import { XPromptError } from "../errors.ts";
import { exportOnnx, Graph, type Initializer, reshape, type Tensor } from "../graph/index.ts";
import type { Image } from "../image/index.ts";
import { type Feeds, float32, floats, int64, Session, type SessionOptions } from "../runtime/session.ts";
import { codesPerImage, codeVectors, decoder, encoder, quantize, type VqganConfig } from "./vqgan.ts";

/** Name that all weights of the image tokenizer begin with. */
export const VQ_PREFIX = "model.vqmodel";

type Weights = ReadonlyMap<string, Initializer>;

export class ImageTokenizer {
  private encoding: Promise<Session> | undefined;
  private decoding: Promise<Session> | undefined;

  constructor(
    readonly config: VqganConfig,
    private readonly weights: Weights,
    private readonly options: SessionOptions = {},
  ) {}

  /** Codes of one picture: `[grid²]`, row by row. */
  get codesPerImage(): number {
    return codesPerImage(this.config);
  }

  /**
   * The codes of each picture.
   * @param images square pictures of the tokenizer's resolution
   */
  async encode(images: readonly Image[]): Promise<Int32Array[]> {
    if (images.length === 0) return [];
    const side = this.config.resolution;
    for (const { width, height } of images)
      if (width !== side || height !== side)
        throw new XPromptError(
          `encoding a picture: expected ${side} × ${side} pixels, got ${width} × ${height}`,
        );
    this.encoding ??= this.compile((graph) => {
      const pictures = graph.input("pictures", "float32", ["n", 3, side, side]);
      const w = graph.scope().at(VQ_PREFIX);
      const { codes } = quantize(w, encoder(w, pictures, this.config), this.config);
      return { codes: reshape(codes, ["n", this.codesPerImage]) };
    });
    const { codes } = await (await this.encoding).run({
      pictures: float32(toPlanes(images), [images.length, 3, side, side]),
    });
    const all = codes!.data as BigInt64Array;
    return images.map((_, i) =>
      Int32Array.from({ length: this.codesPerImage }, (_, j) => Number(all[i * this.codesPerImage + j])),
    );
  }

  /**
   * The picture of each row of codes.
   * @param codes each `[grid²]`, below the number of codes
   */
  async decode(codes: readonly ArrayLike<number>[]): Promise<Image[]> {
    if (codes.length === 0) return [];
    const count = this.codesPerImage;
    const known = (code: number) => Number.isInteger(code) && code >= 0 && code < this.config.codes;
    for (const row of codes) {
      const wrong = Array.from(row).find((code) => !known(code));
      if (row.length !== count || wrong !== undefined)
        throw new XPromptError(
          `decoding a picture: expected ${count} codes below ${this.config.codes}, got ${wrong === undefined ? row.length : `the code ${wrong}`}`,
        );
    }
    const side = this.config.resolution;
    this.decoding ??= this.compile((graph) => {
      const rows = graph.input("codes", "int64", ["n", count]);
      const w = graph.scope().at(VQ_PREFIX);
      return { pictures: decoder(w, codeVectors(w, rows, this.config), this.config) };
    });
    const feeds: Feeds = {
      codes: int64(
        codes.flatMap((row) => Array.from(row)),
        [codes.length, count],
      ),
    };
    const { pictures } = await (await this.decoding).run(feeds);
    return fromPlanes(floats(pictures!), side);
  }

  async release(): Promise<void> {
    for (const session of [this.encoding, this.decoding]) await (await session)?.release();
  }

  private compile(build: (graph: Graph) => Record<string, Tensor>): Promise<Session> {
    return Session.create(exportOnnx(build(new Graph()), { weights: this.weights }), this.options);
  }
}

/** Interleaved pictures in [0, 1] as planes in [−1, 1]: `[n, 3, height, width]`. */
export function toPlanes(images: readonly Image[]): Float32Array {
  const { width, height } = images[0]!;
  const pixels = width * height;
  const planes = new Float32Array(images.length * 3 * pixels);
  for (const [n, { data }] of images.entries())
    for (let c = 0; c < 3; c++) {
      const start = (n * 3 + c) * pixels;
      for (let i = 0; i < pixels; i++) planes[start + i] = data[i * 3 + c]! * 2 - 1;
    }
  return planes;
}

/** The inverse of `toPlanes`, limited to [0, 1]. */
export function fromPlanes(planes: Float32Array, side: number): Image[] {
  const pixels = side * side;
  return Array.from({ length: planes.length / (3 * pixels) }, (_, n) => {
    const data = new Float32Array(3 * pixels);
    for (let c = 0; c < 3; c++) {
      const start = (n * 3 + c) * pixels;
      for (let i = 0; i < pixels; i++)
        data[i * 3 + c] = Math.min(1, Math.max(0, (planes[start + i]! + 1) / 2));
    }
    return { width: side, height: side, data };
  });
}
