/**
 * @file The visual prompt: compressed examples. For each example it holds the keys and values of its XP block in every
 * layer, in half precision: S cache slots instead of hundreds of tokens. It can be saved, joined with others and reused
 * without processing the examples again. For results at full size it also holds what each example tells about colours.
 */

import { z } from "zod";
import { joinBytes } from "../bytes.ts";
import type { CacheBlock } from "../chameleon/model/cache.ts";
import { UsageError, XPromptError } from "../errors.ts";
import { sha256 as digestOf } from "../hash.ts";
import { areColourSums, COLOUR_SUMS, type ColourSums } from "../image/example-colours.ts";
import { type WriteOptions, writeFileAtomic } from "../runtime/files.ts";
import { float16ToFloat32, float32ToFloat16 } from "../runtime/float16.ts";
import { SafetensorsFile, safetensorsChunks } from "../runtime/safetensors.ts";
import { quote } from "../runtime/safetensors-header.ts";

const FORMAT = "xprompt";
const VERSION = "1";
/** The most examples per file. */
const MOST_EXAMPLES = 9999;

const metadataSchema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  model: z.string(),
  examples: z
    .string()
    .regex(/^[1-9]\d*$/)
    .refine((count) => Number(count) <= MOST_EXAMPLES),
  /** Checksum of all else in the file, so that damaged data is never used. */
  sha256: z.string(),
});

/** A compressed example. */
export interface ExampleBlock extends CacheBlock {
  /** What the pair tells about colours; missing in blocks of an example library. */
  readonly colours?: ColourSums;
}

/**
 * Compressed examples of one model: for each, the keys and values of its XP tokens in every layer, in half precision.
 * `XPrompt.compress` makes one, `save` writes a `.xprompt` file, and `VisualPrompt.load` reads it. It holds no session, so
 * that there is nothing to release.
 */
export class VisualPrompt {
  private constructor(
    /** Fingerprint of the model that compressed the examples; no other model can use them. */
    readonly model: string,
    /** One block per example; the order has no meaning. */
    readonly blocks: readonly ExampleBlock[],
  ) {}

  /** @internal Rounds to half precision, so that a prompt gives the same picture before and after saving. */
  static of(model: string, blocks: readonly ExampleBlock[]): VisualPrompt {
    const round = (values: Float32Array) => float16ToFloat32(float32ToFloat16(values));
    const rounded = blocks.map(({ layers, ...sizes }) => ({
      ...sizes,
      layers: layers.map(({ keys, values }) => ({ keys: round(keys), values: round(values) })),
    }));
    return new VisualPrompt(model, rounded);
  }

  /** Joins prompts into a set of all their examples. @throws XPromptError for prompts of different models */
  static join(prompts: readonly VisualPrompt[]): VisualPrompt {
    if (!Array.isArray(prompts) || !prompts.every((prompt) => prompt instanceof VisualPrompt))
      throw new UsageError("joining prompts: expected an array of prompts, got something else");
    const [first] = prompts as readonly VisualPrompt[];
    if (!first) throw new XPromptError("joining prompts: expected at least one, got none");
    for (const { model } of prompts)
      if (model !== first.model)
        throw new XPromptError(
          `joining prompts: expected prompts of one model, got ${first.model} and ${model}`,
          { code: "ERR_MISMATCH" },
        );
    return new VisualPrompt(
      first.model,
      prompts.flatMap((prompt) => prompt.blocks),
    );
  }

  /**
   * Writes a `.xprompt` file (safetensors format) atomically.
   * @throws XPromptError for more examples than a file can hold
   */
  async save(path: string, options: WriteOptions = {}): Promise<void> {
    await writeFileAtomic(path, this.chunks(`writing prompt ${path}`), options);
  }

  /** The bytes of a `.xprompt` file, e.g. for a database, a cache or a response. */
  async toBytes(): Promise<Uint8Array<ArrayBuffer>> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.chunks("writing a prompt")) chunks.push(chunk);
    return joinBytes(chunks);
  }

  /** Reads a `.xprompt` file. @throws XPromptError when it is damaged or another kind of file */
  static async load(path: string): Promise<VisualPrompt> {
    if (typeof path !== "string")
      throw new UsageError("reading a prompt: expected the path of a file, got something else");
    const doing = `reading prompt ${path}`;
    return VisualPrompt.read(await SafetensorsFile.open(path, doing), doing);
  }

  /**
   * Reads the bytes of a `.xprompt` file.
   * @param name of the prompt, for errors
   * @throws XPromptError when they are damaged or another kind of file
   */
  static async fromBytes(bytes: Uint8Array | ArrayBuffer, name?: string): Promise<VisualPrompt> {
    const file = await SafetensorsFile.fromBytes(new Uint8Array(bytes), `of ${name ?? "a prompt"}`);
    return VisualPrompt.read(file, `reading ${name === undefined ? "a prompt" : `prompt ${name}`}`);
  }

  private chunks(doing: string): AsyncIterable<Uint8Array> {
    if (this.blocks.length > MOST_EXAMPLES)
      throw new XPromptError(
        `${doing}: expected at most ${MOST_EXAMPLES} examples, got ${this.blocks.length} (save them in several files; they can be used together)`,
      );
    const tensors = this.blocks.flatMap(({ length, heads, layers, colours }, i) => [
      ...layers.flatMap((block, layer) =>
        kinds.map((kind): Stored => {
          const shape = [heads, length, block[kind].length / (heads * length)];
          return {
            name: tensorName(i, layer, kind),
            dtype: "F16",
            shape,
            data: float32ToFloat16(block[kind]),
          };
        }),
      ),
      ...(colours ? [storedColours(i, colours)] : []),
    ]);
    return safetensorsChunks(tensors, {
      format: FORMAT,
      version: VERSION,
      model: this.model,
      examples: String(this.blocks.length),
      sha256: checksum(this.model, tensors),
    });
  }

  private static async read(file: SafetensorsFile, doing: string): Promise<VisualPrompt> {
    try {
      const { model, examples, sha256 } = metadataOf(file, doing);
      const count = Number(examples);
      const coloured = Array.from({ length: count }, (_, i) => file.tensors.has(coloursName(i)));
      const layers = (file.tensors.size - coloured.filter(Boolean).length) / (2 * count);
      if (!Number.isInteger(layers) || layers < 1)
        throw new XPromptError(
          `${doing}: expected keys and values of ${count} examples, got ${file.tensors.size} tensors (compress the examples again)`,
        );
      const tensors: Stored[] = [];
      const colours: (ColourSums | undefined)[] = [];
      for (let i = 0; i < count; i++) {
        for (let layer = 0; layer < layers; layer++)
          for (const kind of kinds) {
            const name = tensorName(i, layer, kind);
            const { dtype, shape, bytes } = await file.read(name);
            if (dtype !== "F16" || shape.length !== 3)
              throw new XPromptError(
                `${doing}: ${name}: expected F16 [heads, length, width], got ${dtype} [${shape}] (compress the examples again)`,
              );
            tensors.push({ name, dtype, shape, data: new Uint16Array(bytes.buffer) });
          }
        if (!coloured[i]) continue;
        const { dtype, shape, bytes } = await file.read(coloursName(i));
        if (dtype !== "F32" || shape.length !== 1 || shape[0] !== COLOUR_SUMS)
          throw new XPromptError(
            `${doing}: ${coloursName(i)}: expected F32 [${COLOUR_SUMS}], got ${dtype} [${shape}] (compress the examples again)`,
          );
        const sums = new Float32Array(bytes.buffer);
        colours[i] = sums;
        tensors.push(storedColours(i, sums));
      }
      if (checksum(model, tensors) !== sha256)
        throw new XPromptError(
          `${doing}: expected the checksum in its header, got another: the file is damaged (copy it again, or compress the examples again)`,
        );
      for (const [i, sums] of colours.entries())
        if (sums && !areColourSums(sums))
          throw new XPromptError(
            `${doing}: ${coloursName(i)}: expected finite sums and the index of a flip, got other numbers (compress the examples again)`,
          );
      return new VisualPrompt(model, blocksOf(tensors, layers, colours));
    } finally {
      await file.close();
    }
  }
}

const kinds = ["keys", "values"] as const;

const tensorName = (example: number, layer: number, kind: (typeof kinds)[number]): string =>
  `examples.${example}.layers.${layer}.${kind}`;

const coloursName = (example: number): string => `examples.${example}.colours`;

/**
 * A tensor of the file: keys or values of one example in one layer, `[heads, length, headDim]`, or the sums over the
 * colours of an example, `[COLOUR_SUMS]`.
 */
type Stored = { readonly name: string; readonly shape: readonly number[] } & (
  | { readonly dtype: "F16"; readonly data: Uint16Array<ArrayBuffer> }
  | { readonly dtype: "F32"; readonly data: Float32Array<ArrayBuffer> }
);

const storedColours = (example: number, data: Float32Array<ArrayBuffer>): Stored => ({
  ...{ name: coloursName(example), dtype: "F32", shape: [data.length], data },
});

/** Builds blocks from tensors in the order example, layer, keys before values. */
function blocksOf(
  tensors: readonly Stored[],
  layers: number,
  colours: readonly (ColourSums | undefined)[],
): ExampleBlock[] {
  const halves = tensors.filter(({ dtype }) => dtype === "F16") as Extract<Stored, { dtype: "F16" }>[];
  return Array.from({ length: halves.length / (2 * layers) }, (_, i) => {
    const own = halves.slice(2 * layers * i, 2 * layers * (i + 1));
    const [heads, length] = own[0]!.shape as [number, number];
    const values = own.map(({ data }) => float16ToFloat32(data));
    const made = Array.from({ length: layers }, (_, layer) => ({
      keys: values[2 * layer]!,
      values: values[2 * layer + 1]!,
    }));
    return { length, heads, layers: made, ...(colours[i] && { colours: colours[i] }) };
  });
}

function metadataOf({ metadata }: SafetensorsFile, doing: string): z.output<typeof metadataSchema> {
  if (metadata.format !== FORMAT)
    throw new XPromptError(
      `${doing}: expected a file made by xprompt compress, got another safetensors file (use a .xprompt file)`,
    );
  if (metadata.version !== VERSION)
    throw new XPromptError(
      `${doing}: expected version ${VERSION} of the format, got ${quote(metadata.version)} (compress the examples again)`,
    );
  const parsed = metadataSchema.safeParse(metadata);
  if (parsed.success) return parsed.data;
  const [key] = parsed.error.issues[0]!.path;
  throw new XPromptError(
    `${doing}: expected a complete header, got an invalid ${String(key)} (copy it again, or compress the examples again)`,
  );
}

function checksum(model: string, tensors: readonly Stored[]): string {
  return digestOf(
    JSON.stringify([FORMAT, VERSION, model, tensors.length]),
    ...tensors.flatMap(({ name, shape, data }) => [JSON.stringify([name, shape]), data]),
  );
}
