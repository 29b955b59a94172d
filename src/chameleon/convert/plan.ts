/** @file What a conversion will write, decided and checked from the headers alone. */
import { messageOf, XPromptError } from "../../errors.ts";
import { formatShape, quantizedShapes } from "../../graph/index.ts";
import type { Dtype, TensorInfo } from "../../runtime/safetensors.ts";
import {
  buildHeader,
  byteLengthOf,
  compareForMapping,
  MAPPED_ALIGNMENT,
  quote,
} from "../../runtime/safetensors-header.ts";
import type { WeightFolder } from "../../runtime/weights.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { type Bits, BLOCK_SIZE, dtypesOf, isQuantizable, scaleName } from "../checkpoint/quantize.ts";
import { decoderParameters, imageTokenizerParameters } from "../model/parameters.ts";
import { isOfImages, VQ_PREFIX } from "../tokenizers/image-tokenizer.ts";
import type { VqganConfig } from "../tokenizers/vqgan.ts";
import { type Encoding, isCopy } from "./part.ts";

export const formats = ["none", "float16", "int8", "int4"] as const;
/** What weights are written as; "none" leaves them as they are. */
export type Format = (typeof formats)[number];

const bitsOf: Readonly<Partial<Record<Format, Bits>>> = { int8: 8, int4: 4 };

/** The weights that are converted. */
export type ConversionInput = Pick<WeightFolder, "folder" | "tensors" | "metadata" | "readPart">;

/** A tensor of the new file. */
export interface PlannedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/** A tensor of the input, and what it is written to. */
export interface PlannedSource {
  readonly name: string;
  readonly info: TensorInfo;
  /** Numbers in a row: a row is never cut in two. */
  readonly columns: number;
  readonly encoding: Encoding;
  /** One tensor, or codes and scales. */
  readonly outputs: readonly PlannedTensor[];
}

export interface ConversionPlan {
  /** In the order of the input's data. */
  readonly sources: readonly PlannedSource[];
  /** The new file's beginning. */
  readonly header: Uint8Array;
  /** Where each tensor begins in the new file, in the order of their data. */
  readonly offsets: ReadonlyMap<string, number>;
  /** Bytes of the new file. */
  readonly byteLength: number;
  /** Numbers in all weights, scales not counted. */
  readonly parameters: number;
  /** Tensors that no model of the family has; they are copied. */
  readonly unknown: readonly string[];
}

/** @throws XPromptError for weights that the format or the configuration does not go with */
export function planConversion(
  weights: ConversionInput,
  config: { readonly decoder: DecoderConfig; readonly image: VqganConfig },
  format: Format,
): ConversionPlan {
  const refuse = (what: string): never => {
    throw new XPromptError(`converting ${weights.folder}: ${what}`);
  };
  const former = config.decoder.quantization;
  if (former && format !== "none")
    refuse(
      `expected weights that are not quantized, got some of ${former.bits} bits (give the folder they were made from)`,
    );
  const known = expectedTensors(weights, config, refuse);
  const sources: PlannedSource[] = [];
  const unknown: string[] = [];
  let parameters = 0;
  for (const [name, info] of weights.tensors) {
    const expected = known.get(name);
    parameters += expected?.numbers ?? 0;
    if (!expected) unknown.push(name);
    else if (expected.shape.join() !== info.shape.join())
      refuse(
        `${name}: expected ${formatShape(expected.shape)}, as config.json says, got ${formatShape(info.shape)} (config.json and weights belong to different models)`,
      );
    else if (!expected.dtypes.includes(info.dtype))
      refuse(
        `${name}: expected ${expected.dtypes.join(", ")}, got ${info.dtype} (give a folder of plain weights)`,
      );
    sources.push(planTensor(name, info, expected ? encodingOf(name, format) : "opaque"));
  }
  const outputs = sources.flatMap((source) => source.outputs).sort(compareForMapping);
  const header = buildHeader(outputs, { ...weights.metadata, format: "pt" }, MAPPED_ALIGNMENT);
  const offsets = new Map<string, number>();
  let end = header.length;
  for (const { name, byteLength } of outputs) {
    if (offsets.has(name)) refuse(`expected ${quote(name)} to be free for scales, got a tensor of that name`);
    offsets.set(name, end);
    end += byteLength;
  }
  return { sources, header, offsets, byteLength: end, parameters, unknown };
}

interface ExpectedTensor {
  readonly shape: readonly number[];
  readonly dtypes: readonly Dtype[];
  /** Parameters that it stands for. */
  readonly numbers: number;
}

/** All tensors that a model of this configuration may have. Those of the language model must be there. */
function expectedTensors(
  weights: ConversionInput,
  { decoder, image }: { readonly decoder: DecoderConfig; readonly image: VqganConfig },
  refuse: (what: string) => never,
): Map<string, ExpectedTensor> {
  const hasImages = [...weights.tensors.keys()].some(isOfImages);
  const layers = decoder.layers + (hasImages ? image.residualBlocks : 0);
  // Before a graph of that many layers is built.
  if (layers > weights.tensors.size)
    refuse(
      `expected weights of ${layers} layers, as config.json says, got ${weights.tensors.size} tensors (is the folder complete?)`,
    );
  try {
    const stored = decoderParameters(decoder);
    const dense = decoderParameters({ ...decoder, quantization: undefined });
    const ofImages = new Map(hasImages ? imageTokenizerParameters(image) : []);
    // A decoder that counts its levels from the lowest resolution, as Janus's: it passes as it is.
    if (weights.tensors.has(`${VQ_PREFIX}.decoder.up.0.upsample.conv.weight`))
      for (const name of ofImages.keys()) if (name.startsWith(`${VQ_PREFIX}.decoder.`)) ofImages.delete(name);
    for (const name of stored.keys())
      if (!weights.tensors.has(name)) refuse(`expected a tensor ${name}, got none (is the folder complete?)`);
    const describe = ([name, shape]: [string, readonly number[]]): [string, ExpectedTensor] => {
      const numbers = (dense.get(name) ?? ofImages.get(name) ?? [0]).reduce(
        (product, size) => product * size,
        1,
      );
      return [name, { shape, numbers, dtypes: dtypesOf(name, decoder) }];
    };
    return new Map([...stored, ...ofImages].map(describe));
  } catch (error) {
    if (error instanceof XPromptError) throw error;
    return refuse(`config.json: expected sizes that fit together, got: ${messageOf(error)}`);
  }
}

/** What a tensor of the model is written as: small vectors of a quantized model stay exact. */
function encodingOf(name: string, format: Format): Encoding {
  if (format === "none") return "copy";
  if (format === "float16" || isOfImages(name) || name === EMBEDDING) return "F16";
  return isQuantizable(name) ? bitsOf[format]! : "F32";
}

const EMBEDDING = "model.embed_tokens.weight";

function planTensor(name: string, info: TensorInfo, encoding: Encoding): PlannedSource {
  const output = (name: string, dtype: Dtype, shape: readonly number[]): PlannedTensor => ({
    name,
    dtype,
    shape,
    byteLength: byteLengthOf(dtype, shape),
  });
  const { dtype, shape } = info;
  if (typeof encoding === "string") {
    const type = isCopy(encoding) ? dtype : encoding;
    const how = type === dtype && encoding !== "opaque" ? "copy" : encoding;
    return { name, info, columns: 1, encoding: how, outputs: [output(name, type, shape)] };
  }
  const matrix = shape as readonly [number, number];
  const { codes, scales } = quantizedShapes(...matrix, { bits: encoding, blockSize: BLOCK_SIZE });
  const outputs = [output(name, "U8", codes), output(scaleName(name), "F32", scales)];
  return { name, info, columns: matrix[1], encoding, outputs };
}
