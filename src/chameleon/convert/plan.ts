/** @file The plan of a conversion, made from the headers alone. */
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
import {
  type BlockSize,
  defaultBlockSize,
  dtypesOf,
  isQuantizable,
  type StoredQuantization,
  scaleName,
} from "../checkpoint/quantize.ts";
import { decoderParameters, imageTokenizerParameters } from "../model/parameters.ts";
import { isOfImages, VQ_PREFIX } from "../tokenizers/image-tokenizer.ts";
import type { VqganConfig } from "../tokenizers/vqgan.ts";
import { type Encoding, isCopy } from "./part.ts";

export const formats = ["none", "float16", "int8", "int4"] as const;
/** Formats of weights; "none" keeps them unchanged. */
export type Format = (typeof formats)[number];

/** What a conversion makes of the weights. */
export type Target = "none" | "float16" | StoredQuantization;

export function targetOf(format: Format, blockSize?: BlockSize): Target {
  if (format === "none" || format === "float16") return format;
  const bits = format === "int4" ? 4 : 8;
  return { bits, blockSize: blockSize ?? defaultBlockSize(bits) };
}

/** The weights to convert. */
export type ConversionInput = Pick<WeightFolder, "folder" | "tensors" | "metadata" | "readPart">;

/** A tensor of the output. */
export interface PlannedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/** A tensor of the input, and the tensors it becomes. */
export interface PlannedSource {
  readonly name: string;
  readonly info: TensorInfo;
  /** Numbers per row; rows are never split. */
  readonly columns: number;
  readonly encoding: Encoding;
  /** One tensor, or codes and scales. */
  readonly outputs: readonly PlannedTensor[];
}

export interface ConversionPlan {
  /** In the order of the input's data. */
  readonly sources: readonly PlannedSource[];
  /** The header of the output. */
  readonly header: Uint8Array;
  /** The offset of each tensor in the output, in the order of their data. */
  readonly offsets: ReadonlyMap<string, number>;
  /** The length of the output in bytes. */
  readonly byteLength: number;
  /** The number of parameters, without scales. */
  readonly parameters: number;
  /** Names of tensors that are not part of the architecture; they are copied. */
  readonly unknown: readonly string[];
}

/** @throws XPromptError when the weights do not match the configuration, or cannot be converted to the format */
export function planConversion(
  weights: ConversionInput,
  config: { readonly decoder: DecoderConfig; readonly image: VqganConfig },
  target: Target,
): ConversionPlan {
  const refuse = (what: string): never => {
    throw new XPromptError(`converting ${weights.folder}: ${what}`);
  };
  const former = config.decoder.quantization;
  if (former && target !== "none")
    refuse(
      `expected weights that are not quantized, got ${former.bits}-bit weights (use the model before quantization)`,
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
        `${name}: expected ${expected.dtypes.join(", ")}, got ${info.dtype} (use a folder with plain weights)`,
      );
    sources.push(planTensor(name, info, expected ? encodingOf(name, target) : "opaque"));
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
  /** The number of its parameters. */
  readonly numbers: number;
}

/** All tensors of a model with this configuration. Those of the language model are required. */
function expectedTensors(
  weights: ConversionInput,
  { decoder, image }: { readonly decoder: DecoderConfig; readonly image: VqganConfig },
  refuse: (what: string) => never,
): Map<string, ExpectedTensor> {
  const hasImages = [...weights.tensors.keys()].some(isOfImages);
  const layers = decoder.layers + (hasImages ? image.residualBlocks : 0);
  // Checked before a graph of that many layers is built.
  if (layers > weights.tensors.size)
    refuse(
      `expected weights of ${layers} layers, as config.json says, got ${weights.tensors.size} tensors (is the folder complete?)`,
    );
  try {
    const stored = decoderParameters(decoder);
    const dense = decoderParameters({ ...decoder, quantization: undefined });
    const ofImages = new Map(hasImages ? imageTokenizerParameters(image) : []);
    // A decoder with levels from the lowest resolution, as Janus's, passes unchecked.
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

/** The encoding of a tensor: small vectors of a quantized model stay exact. */
function encodingOf(name: string, target: Target): Encoding {
  if (target === "none") return "copy";
  if (target === "float16" || isOfImages(name) || name === EMBEDDING) return "F16";
  return isQuantizable(name) ? target : "F32";
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
  const { codes, scales } = quantizedShapes(...matrix, encoding);
  const outputs = [output(name, "U8", codes), output(scaleName(name), "F32", scales)];
  return { name, info, columns: matrix[1], encoding, outputs };
}
