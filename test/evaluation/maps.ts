/** @file Depth maps in NYUv2's format. */
import { deflateSync } from "node:zlib";
import { makeChunk, pngSignature } from "../image/png-parts.ts";

/** A square PNG with one channel of 16 bits and constant depth in millimetres. */
export function depthMap(millimetres: number, size = 16): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([16, 0], 8); // bits, greyscale
  const rows = Buffer.alloc(size * (1 + 2 * size));
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) rows.writeUInt16BE(millimetres, y * (1 + 2 * size) + 1 + 2 * x);
  const chunks = [makeChunk("IHDR", header), makeChunk("IDAT", deflateSync(rows))];
  return Buffer.concat([pngSignature, ...chunks, makeChunk("IEND", Buffer.alloc(0))]);
}
