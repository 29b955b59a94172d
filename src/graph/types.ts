/** @file Types of tensors, and the arrays that hold constants. */
import type { Shape } from "./shape.ts";

export type DType = "float32" | "float16" | "int64" | "int32" | "uint8" | "bool";

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A number as text. Other than with `String`, −0 and 0 differ. */
export const keyOf = (value: number | bigint): string => (Object.is(value, -0) ? "-0" : String(value));

/** The typed arrays that hold constants: float32 values, 64-bit ids, bytes and booleans. */
export type ConstantData = Float32Array | BigInt64Array | Uint8Array;
