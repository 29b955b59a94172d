/** @file Collects the bytes of a pack, and writes a pack whole or not at all. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { sha256File, writeFilesAtomic } from "../../src/runtime/files.ts";
import { type PackIndex, packIndex } from "../../src/tasks/gathered/format.ts";

export interface MadePack {
  readonly index: PackIndex;
  readonly chunks: readonly Uint8Array[];
}

/** The `.bin` file while it grows. */
export class PackBytes {
  readonly chunks: Uint8Array[] = [];
  private length = 0;

  /** @returns where the bytes are. */
  add(data: Uint8Array): { offset: number; length: number } {
    const offset = this.length;
    this.chunks.push(data);
    this.length += data.length;
    return { offset, length: data.length };
  }

  addDeflated(data: Uint8Array): { offset: number; length: number } {
    return this.add(deflateRawSync(data));
  }
}

type Unsealed<Index = PackIndex> = Index extends PackIndex ? Omit<Index, "bytes" | "sha256"> : never;

/** Adds length and checksum of the bytes to the index. */
export function sealed(index: Unsealed, { chunks }: PackBytes): MadePack {
  const hash = createHash("sha256");
  let bytes = 0;
  for (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { index: packIndex.parse({ ...index, bytes, sha256: hash.digest("hex") }), chunks };
}

/** Writes both files, or neither. The index has a checksum of the bytes, for the moment between the two. */
export async function writePack(folder: string, name: string, { index, chunks }: MadePack): Promise<void> {
  await writeFilesAtomic([
    { path: join(folder, `${name}.bin`), data: chunks },
    { path: join(folder, `${name}.json`), data: `${JSON.stringify(index)}\n` },
  ]);
}

/** Checksum of a pack's bytes on the disk. */
export const packChecksum = (folder: string, name: string) => sha256File(join(folder, `${name}.bin`), "pack");
