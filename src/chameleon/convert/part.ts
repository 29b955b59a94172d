/** @file The arithmetic of a conversion: part of a stored tensor, encoded in another format. */
import { XPromptError } from "../../errors.ts";
import { float32ToFloat16 } from "../../runtime/float16.ts";
import { type Dtype, type StoredTensor, toFloat32 } from "../../runtime/safetensors.ts";
import { quantizeRows, type StoredQuantization } from "../checkpoint/quantize.ts";

/**
 * How a tensor is written: `opaque` copies its bytes unread, `copy` copies them once the numbers are known to be finite,
 * the others change the type or quantize.
 */
export type Encoding = "opaque" | "copy" | "F16" | "F32" | StoredQuantization;

/** Whether the bytes stay as they are. */
export const isCopy = (encoding: Encoding): encoding is "opaque" | "copy" =>
  encoding === "opaque" || encoding === "copy";

/** Whole rows of a tensor. */
export interface Part extends StoredTensor {
  /** Numbers per row. */
  readonly columns: number;
  readonly encoding: Encoding;
}

/** The bytes of each resulting tensor: codes and scales of a quantized one. */
export type ConvertedPart = readonly Uint8Array<ArrayBuffer>[];

/** @throws XPromptError for a number that is not finite, or that the encoding cannot hold */
export function convertPart({ columns, encoding, ...stored }: Part): ConvertedPart {
  if (encoding !== "opaque") checkFinite(stored);
  if (isCopy(encoding)) return [stored.bytes];
  const values = toFloat32(stored, "converting");
  if (encoding === "F32") return [bytesOf(values)];
  if (encoding === "F16") return [bytesOf(halves(values))];
  const { codes, scales } = quantizeRows(values, columns, encoding);
  return [codes, bytesOf(scales)];
}

/** Bits of the exponent by type: all are set in infinities and NaN alone. */
const EXPONENTS: Readonly<Partial<Record<Dtype, number>>> = { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 };

/** @throws XPromptError for the first number that is infinite or NaN */
function checkFinite({ dtype, bytes }: StoredTensor): void {
  const mask = EXPONENTS[dtype];
  if (mask === undefined) return; // whole numbers
  const bits = dtype === "F32" ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i]! & mask) !== mask) continue;
    const wrong = bytes.slice(i * bits.BYTES_PER_ELEMENT, (i + 1) * bits.BYTES_PER_ELEMENT);
    const [value] = toFloat32({ dtype, shape: [1], bytes: wrong }, "converting");
    throw new XPromptError(`expected finite numbers, got ${value} (get the weights again)`);
  }
}

function halves(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = float32ToFloat16(values);
  for (let i = 0; i < bits.length; i++)
    if ((bits[i]! & 0x7c00) === 0x7c00)
      throw new XPromptError(
        `expected numbers that float16 holds, up to 65504, got ${values[i]} (use another format)`,
      );
  return bits;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  new Uint8Array(buffer, byteOffset, byteLength);
