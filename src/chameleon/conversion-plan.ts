/** @file What a conversion will write, decided and checked from the headers alone. */
import { z } from "zod";
import { messageOf, XPromptError } from "../errors.ts";
import { formatShape } from "../graph/index.ts";
import type { Dtype, TensorInfo } from "../runtime/safetensors.ts";
import {
  buildHeader,
  byteLengthOf,
  compareForMapping,
  MAPPED_ALIGNMENT,
  quote,
} from "../runtime/safetensors-header.ts";
import type { WeightFolder } from "../runtime/weights.ts";
import { decoderConfigSchema, decoderFromJson, vqConfigSchema, vqganFromJson } from "./config.ts";
import type { Encoding } from "./convert-part.ts";
import { VQ_PREFIX } from "./image-tokenizer.ts";
import { decoderParameters, imageTokenizerParameters } from "./parameters.ts";
import {
  type Bits,
  isQuantizable,
  quantizationConfigSchema,
  quantizedShapes,
  scaleName,
} from "./quantize.ts";

export const formats = ["none", "float16", "int8", "int4"] as const;
/** What weights are written as; "none" leaves them as they are. */
export type Format = (typeof formats)[number];

const bitsOf: Readonly<Partial<Record<Format, Bits>>> = { int8: 8, int4: 4 };

/** `config.json` of any model of the family. What is not named here passes through. */
export const chameleonConfigSchema = z
  .looseObject({
    model_type: z.literal("chameleon"),
    vq_config: vqConfigSchema.prefault({}),
    quantization_config: quantizationConfigSchema.optional(),
    weights_sha256: z.string().optional(),
  })
  .and(decoderConfigSchema);

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

/**
 * @param config the input's, as `chameleonConfigSchema` gives it
 * @throws XPromptError for weights that the format or the configuration does not go with
 */
export function planConversion(
  weights: WeightFolder,
  config: z.output<typeof chameleonConfigSchema>,
  format: Format,
): ConversionPlan {
  const refuse = (what: string): never => {
    throw new XPromptError(`converting ${weights.folder}: ${what}`);
  };
  const former = config.quantization_config;
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
    sources.push(planTensor(name, info, expected ? encodingOf(name, format) : "copy"));
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
  weights: WeightFolder,
  config: z.output<typeof chameleonConfigSchema>,
  refuse: (what: string) => never,
): Map<string, ExpectedTensor> {
  // Of the plain matrices, whatever they are kept as.
  const { quantization: _, ...sizes } = decoderFromJson(config);
  const image = vqganFromJson(config.vq_config);
  const isImage = (name: string) => name.startsWith(`${VQ_PREFIX}.`);
  const hasImages = [...weights.tensors.keys()].some(isImage);
  const layers = sizes.layers + (hasImages ? image.residualBlocks : 0);
  // Before a graph of that many layers is built.
  if (layers > weights.tensors.size)
    refuse(
      `expected weights of ${layers} layers, as config.json says, got ${weights.tensors.size} tensors (is the folder complete?)`,
    );
  let dense: (readonly [string, readonly number[]])[];
  try {
    dense = [...decoderParameters(sizes), ...(hasImages ? imageTokenizerParameters(image) : [])];
  } catch (error) {
    return refuse(`config.json: expected sizes that fit together, got: ${messageOf(error)}`);
  }
  const expected = new Map<string, ExpectedTensor>();
  for (const [name, shape] of dense) {
    const numbers = shape.reduce((product, size) => product * size, 1);
    const bits = config.quantization_config?.bits;
    if (bits === undefined || !isQuantizable(name))
      expected.set(name, { shape, numbers, dtypes: ["F32", "F16", "BF16"] });
    else {
      const { codes, scales } = quantizedShapes(shape as [number, number], bits);
      expected.set(name, { shape: codes, numbers, dtypes: ["U8"] });
      expected.set(scaleName(name), { shape: scales, numbers: 0, dtypes: ["F32"] });
    }
  }
  for (const name of expected.keys())
    if (!isImage(name) && !weights.tensors.has(name))
      refuse(`expected a tensor ${name}, got none (is the folder complete?)`);
  return expected;
}

/** What a tensor of the model is written as: small vectors of a quantized model stay exact. */
function encodingOf(name: string, format: Format): Encoding {
  if (format === "none") return "copy";
  if (format === "float16" || name.startsWith(`${VQ_PREFIX}.`) || name === EMBEDDING) return "F16";
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
    const type = encoding === "copy" ? dtype : encoding;
    const how = type === dtype ? "copy" : encoding;
    return { name, info, columns: 1, encoding: how, outputs: [output(name, type, shape)] };
  }
  const matrix = shape as readonly [number, number];
  const { codes, scales } = quantizedShapes(matrix, encoding);
  const outputs = [output(name, "U8", codes), output(scaleName(name), "F32", scales)];
  return { name, info, columns: matrix[1], encoding, outputs };
}
