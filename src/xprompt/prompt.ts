/**
 * @file The visual prompt: what is kept of examples once the model has read them. For each example that is the keys
 * and values of its XP block in every layer, in half precision: an example costs S cache slots instead of its hundreds
 * of tokens, and can be saved, mixed with others and used again without being read again.
 */
import { z } from "zod";
import type { CacheBlock } from "../chameleon/cache.ts";
import { XPromptError } from "../errors.ts";
import type { WriteOptions } from "../runtime/files.ts";
import { float16ToFloat32, float32ToFloat16 } from "../runtime/float16.ts";
import { SafetensorsFile, type TensorToWrite, writeSafetensors } from "../runtime/safetensors.ts";

const FORMAT = "xprompt";
const VERSION = "1";

const metadataSchema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  model: z.string(),
  examples: z.string().regex(/^[1-9]\d{0,3}$/),
});

export class VisualPrompt {
  private constructor(
    /** Fingerprint of the model that read the examples; no other can use them. */
    readonly model: string,
    /** One block for each example; their order has no meaning. */
    readonly blocks: readonly CacheBlock[],
  ) {}

  /** @internal Rounds to half precision, so that a prompt gives the same picture before and after it was saved. */
  static of(model: string, blocks: readonly CacheBlock[]): VisualPrompt {
    const round = (values: Float32Array) => float16ToFloat32(float32ToFloat16(values));
    const rounded = blocks.map(({ layers, ...sizes }) => ({
      ...sizes,
      layers: layers.map(({ keys, values }) => ({ keys: round(keys), values: round(values) })),
    }));
    return new VisualPrompt(model, rounded);
  }

  /** All examples of several prompts, as a set. @throws XPromptError when they are of different models */
  static join(prompts: readonly VisualPrompt[]): VisualPrompt {
    const [first] = prompts;
    if (!first) throw new XPromptError("joining prompts: expected at least one, got none");
    for (const { model } of prompts)
      if (model !== first.model)
        throw new XPromptError(
          `joining prompts: expected prompts of one model, got ${first.model} and ${model}`,
        );
    return new VisualPrompt(
      first.model,
      prompts.flatMap((prompt) => prompt.blocks),
    );
  }

  /** Writes a `.xprompt` file (safetensors inside), whole or not at all. */
  async save(path: string, options: WriteOptions = {}): Promise<void> {
    const tensors = this.blocks.flatMap(({ length, heads, layers }, i) =>
      layers.flatMap((block, layer) =>
        kinds.map((kind): TensorToWrite => {
          const shape = [heads, length, block[kind].length / (heads * length)];
          return { name: tensorName(i, layer, kind), dtype: "F16", shape, data: block[kind] };
        }),
      ),
    );
    const metadata = {
      format: FORMAT,
      version: VERSION,
      model: this.model,
      examples: String(this.blocks.length),
    };
    await writeSafetensors(path, tensors, metadata, options);
  }

  /** Reads a `.xprompt` file. @throws XPromptError when it is damaged or something else */
  static async load(path: string): Promise<VisualPrompt> {
    const file = await SafetensorsFile.open(path);
    try {
      const metadata = metadataSchema.safeParse(file.metadata);
      if (!metadata.success)
        throw new XPromptError(
          `reading prompt ${path}: expected a file made by xprompt compress, got another safetensors file`,
        );
      const count = Number(metadata.data.examples);
      const layers = file.tensors.size / (2 * count);
      if (!Number.isInteger(layers) || layers < 1)
        throw new XPromptError(
          `reading prompt ${path}: expected keys and values of ${count} examples, got ${file.tensors.size} tensors (make it again)`,
        );
      const blocks: CacheBlock[] = [];
      for (let i = 0; i < count; i++) {
        const read = (layer: number, kind: (typeof kinds)[number]) =>
          file.readFloat32(tensorName(i, layer, kind));
        const made = [];
        for (let layer = 0; layer < layers; layer++)
          made.push({ keys: await read(layer, "keys"), values: await read(layer, "values") });
        const [heads, length] = file.tensors.get(tensorName(i, 0, "keys"))!.shape as [number, number];
        blocks.push({ length, heads, layers: made });
      }
      return new VisualPrompt(metadata.data.model, blocks);
    } finally {
      await file.close();
    }
  }
}

const kinds = ["keys", "values"] as const;

const tensorName = (example: number, layer: number, kind: (typeof kinds)[number]): string =>
  `examples.${example}.layers.${layer}.${kind}`;
