/** @file Compiled examples as table rows: keys and values of an XP block in half precision, with a checksum. */
import type { CacheBlock } from "../chameleon/model/cache.ts";
import { sha256 } from "../hash.ts";
import { float16ToFloat32, float32ToFloat16 } from "../runtime/float16.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import type { Row } from "./arrow.ts";

/** The row of a block. `data`: layer after layer, keys and then values, `[heads, length, headDim]` each. */
export function rowOf(id: string, { length, heads, layers }: CacheBlock): Row {
  const parts = layers.flatMap(({ keys, values }) => [keys, values]).map(float32ToFloat16);
  const data = Buffer.concat(parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength)));
  const sizes = { length, heads, layers: layers.length };
  return { id, ...sizes, data, sha256: checksum(id, sizes, data) };
}

/** A prompt as it comes out of its rows, which do not tell about colours. */
export const withoutColours = ({ model, blocks }: VisualPrompt): VisualPrompt =>
  VisualPrompt.of(
    model,
    blocks.map(({ colours: _, ...block }) => block),
  );

const checksum = (id: unknown, { length, heads, layers }: Sizes, data: Uint8Array): string =>
  sha256(JSON.stringify([id, length, heads, layers, sha256(data)]));

interface Sizes {
  readonly length: number;
  readonly heads: number;
  readonly layers: number;
}

/** The block of a row; undefined if it is damaged. */
export function blockOf(row: Readonly<Record<string, unknown>>): CacheBlock | undefined {
  const { id, data, sha256: expected } = row;
  const sizes = row as unknown as Sizes;
  if (!(data instanceof Uint8Array) || checksum(id, sizes, data) !== expected) return undefined;
  const { length, heads, layers } = sizes;
  // The checksum may be right and the sizes wrong: each layer has keys and values of 2 bytes per number.
  const size = data.length / (4 * layers);
  if (!Number.isInteger(size) || size === 0 || size % (length * heads) !== 0) return undefined;
  const bits = new Uint16Array(data.slice().buffer);
  const part = (i: number) => float16ToFloat32(bits.subarray(i * size, (i + 1) * size));
  const made = Array.from({ length: layers }, (_, i) => ({ keys: part(2 * i), values: part(2 * i + 1) }));
  return { length, heads, layers: made };
}
