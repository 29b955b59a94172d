/** @file What a stretch of a stored tensor becomes in another format: the arithmetic of a conversion. */
import { float32ToFloat16 } from "../../runtime/float16.ts";
import { type StoredTensor, toFloat32 } from "../../runtime/safetensors.ts";
import { type Bits, quantizeRows } from "../checkpoint/quantize.ts";

/** How a tensor is written: its bytes as they are, in another type, or quantized to so many bits. */
export type Encoding = "copy" | "F16" | "F32" | Bits;

/** Whole rows of a tensor. */
export interface Part extends StoredTensor {
  /** Numbers in a row. */
  readonly columns: number;
  readonly encoding: Encoding;
}

/** The bytes of each tensor that the part is written to: of a quantized one codes and scales. */
export type ConvertedPart = readonly Uint8Array<ArrayBuffer>[];

/** @throws RangeError for a number that the encoding can not hold */
function convertPart({ columns, encoding, ...stored }: Part): ConvertedPart {
  if (encoding === "copy") return [stored.bytes];
  const values = toFloat32(stored, "converting");
  if (encoding === "F32") return [bytesOf(values)];
  if (encoding === "F16") return [bytesOf(halves(values))];
  const { codes, scales } = quantizeRows(values, columns, encoding);
  return [codes, bytesOf(scales)];
}

/** What a part becomes, or why it can not. */
export type PartAnswer = { readonly parts: ConvertedPart } | { readonly refused: string };

export function answerTo(part: Part): PartAnswer {
  try {
    return { parts: convertPart(part) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { refused: error.message };
  }
}

function halves(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = float32ToFloat16(values);
  for (let i = 0; i < bits.length; i++)
    if ((bits[i]! & 0x7c00) === 0x7c00)
      throw new RangeError(`expected numbers that float16 holds, up to 65504, got ${values[i]}`);
  return bits;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  new Uint8Array(buffer, byteOffset, byteLength);
