/** @file Embeddings of a CLIP model in the layout of transformers. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { messageOf, XPromptError } from "../errors.ts";
import { exportOnnx, Graph, type Initializer, parameterShapes, type Tensor } from "../graph/index.ts";
import { loadPicture, type Picture } from "../image/picture.ts";
import { type Preprocessing, preprocess } from "../image/preprocess.ts";
import { readJson } from "../runtime/files.ts";
import { buildWith } from "../runtime/resources.ts";
import { float32, floats, int64, Session } from "../runtime/session.ts";
import type { SessionOptions } from "../runtime/session-options.ts";
import { openWeights } from "../runtime/weights.ts";
import { causalBias } from "../xprompt/packing.ts";
import { type ClipConfig, clipConfigSchema, clipImage, clipText } from "./clip.ts";
import type { Embedder } from "./embedder.ts";

/** How many numbers of each weight the name of the space hashes. */
const SAMPLE = 1024;

/** Larger pictures are scaled down while decoding: CLIP sees some 50,000 pixels. */
const MOST_PIXELS = 4_000_000;

/** The preprocessing of `CLIPImageProcessor`. */
const preprocessing = (side: number): Preprocessing => ({
  size: side,
  longEdge: "floor",
  filter: "bicubic",
  crop: { width: side, height: side },
  scale: 1 / 255,
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
});

/** The used part of the library, whose own declarations do not resolve under `nodenext`. */
interface Encoder {
  encode(text: string): { ids: number[] };
}

/**
 * Embeds texts and pictures with a CLIP, as the paper does. `ClipEmbedder.load` opens a folder in the layout of
 * transformers; `release` (or `await using`) frees its sessions.
 */
export class ClipEmbedder implements Embedder {
  private constructor(
    readonly space: string,
    private readonly config: ClipConfig,
    private readonly tokenizer: Encoder,
    private readonly texts: Session,
    private readonly pictures: Session,
  ) {}

  /**
   * Loads `config.json`, `tokenizer.json` and the weights (safetensors, in one file or several) of a CLIP.
   * @throws XPromptError when a file is missing or damaged, or it is another kind of model
   * @example const embedder = await ClipEmbedder.load("clip-vit-base-patch32");
   */
  static async load(folder: string, options: SessionOptions = {}): Promise<ClipEmbedder> {
    const doing = `loading CLIP ${folder}`;
    const config = await readJson(join(folder, "config.json"), clipConfigSchema, "CLIP config");
    const tokenizer = await readTokenizer(join(folder, "tokenizer.json"));
    const [text, image] = [clipText(new Graph(), config), clipImage(new Graph(), config)];
    const weights = await readWeights(folder, [text, image], doing);
    const [texts, pictures] = await buildWith(async (resources) => {
      const create = async (feature: Tensor) =>
        resources.own(await Session.create(exportOnnx({ feature }, { weights }), options));
      return [await create(text), await create(image)];
    });
    const { text_config, vision_config } = config;
    const hash = createHash("sha256").update(JSON.stringify([text_config, vision_config]));
    for (const [name, { data }] of weights)
      hash.update(name).update((data as Float32Array).subarray(0, SAMPLE));
    return new ClipEmbedder(`clip-${hash.digest("hex").slice(0, 16)}`, config, tokenizer, texts, pictures);
  }

  get textWidth(): number {
    return this.config.projection_dim;
  }

  get imageWidth(): number {
    return this.config.projection_dim;
  }

  async text(instruction: string): Promise<Float32Array> {
    const { ids } = this.tokenizer.encode(instruction);
    const room = this.config.text_config.max_position_embeddings;
    // A text that is too long loses its last words, not its end token.
    const tokens = ids.length > room ? [...ids.slice(0, room - 1), ids.at(-1)!] : ids;
    const time = tokens.length;
    const { feature } = await this.texts.run({
      tokens: int64(tokens, [time]),
      positions: int64([...tokens.keys()], [time]),
      bias: float32(causalBias(time), [time, time]),
      last: int64([time - 1], [1]),
    });
    return floats(feature!);
  }

  async image(picture: Picture): Promise<Float32Array> {
    const decoded = await loadPicture(picture, { reduceTo: MOST_PIXELS });
    const side = this.config.vision_config.image_size;
    const pixels = preprocess(decoded, preprocessing(side));
    const { feature } = await this.pictures.run({ pixels: float32(pixels, [1, 3, side, side]) });
    return floats(feature!);
  }

  async release(): Promise<void> {
    await this.texts.release();
    await this.pictures.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

async function readTokenizer(path: string): Promise<Encoder> {
  const json = await readJson(path, z.looseObject({}), "tokenizer");
  try {
    return new Tokenizer(json, {}) as unknown as Encoder;
  } catch (error) {
    throw new XPromptError(
      `reading tokenizer ${path}: expected a tokenizer of CLIP, got another: ${messageOf(error)} (copy it again)`,
    );
  }
}

/** The weights of the graphs, as float32. */
async function readWeights(
  folder: string,
  outputs: readonly Tensor[],
  doing: string,
): Promise<Map<string, Initializer>> {
  const stored = await openWeights(folder);
  try {
    const weights = new Map<string, Initializer>();
    for (const { graph } of outputs)
      for (const [name, shape] of parameterShapes(graph)) {
        const data = await stored.readFloat32(name);
        const there = stored.tensors.get(name)!.shape;
        if (there.join() !== shape.join())
          throw new XPromptError(
            `${doing}: ${name}: expected [${shape.join(", ")}] as config.json says, got [${there.join(", ")}] (do the files belong together?)`,
          );
        weights.set(name, { dtype: "float32", shape, data });
      }
    return weights;
  } finally {
    await stored.close();
  }
}
