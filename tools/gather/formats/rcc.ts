/**
 * @file Reads Qt resource archives (`.rcc`, versions 1 to 3).
 *
 * Layout, all numbers big-endian: the magic `qres`, then the version and the offsets of tree, data and names (32 bits
 * each). A node of the tree has 14 bytes (22 from version 2 on, with a time): offset of its name, flags, and for a
 * folder the number of children and the number of its first child, for a file locale and offset of its data.
 * Source: `qtbase/src/corelib/io/qresource.cpp`.
 */
import { inflateSync } from "node:zlib";
import { XPromptError } from "../../../src/errors.ts";

/** A file of an archive. */
export interface ArchiveFile {
  /** Path inside the archive, with `/`. */
  readonly path: string;
  read(): Buffer;
}

const flag = { zlib: 1, folder: 2, zstd: 4 } as const;

/** Lists the files of an archive. @param label Name of the archive in error messages. */
export function readRcc(bytes: Buffer, label: string): ArchiveFile[] {
  const doing = `reading Qt archive ${label}`;
  const version = bytes.length < 20 ? 0 : bytes.readUInt32BE(4);
  if (bytes.toString("latin1", 0, 4) !== "qres" || version < 1 || version > 3) {
    throw new XPromptError(
      `${doing}: expected "qres" and version 1 to 3, got something else (download it again)`,
    );
  }
  const [tree, data, names] = [8, 12, 16].map((at) => bytes.readUInt32BE(at)) as [number, number, number];
  const nodeBytes = version === 1 ? 14 : 22;

  const nameAt = (offset: number) => {
    const start = names + offset;
    const text = Buffer.from(bytes.subarray(start + 6, start + 6 + 2 * bytes.readUInt16BE(start)));
    return text.swap16().toString("utf16le");
  };
  const contentAt = (offset: number, flags: number, path: string) => {
    const start = data + offset + 4;
    const content = bytes.subarray(start, start + bytes.readUInt32BE(start - 4));
    if (flags & flag.zstd) {
      throw new XPromptError(`${doing}: expected ${path} plain or zlib-compressed, got zstd (not supported)`);
    }
    return flags & flag.zlib ? inflateSync(content.subarray(4)) : content;
  };

  const files: ArchiveFile[] = [];
  const visit = (index: number, parent: string) => {
    const node = tree + index * nodeBytes;
    const flags = bytes.readUInt16BE(node + 4);
    const path = index === 0 ? "" : `${parent}${nameAt(bytes.readUInt32BE(node))}`;
    if (flags & flag.folder) {
      const [count, first] = [bytes.readUInt32BE(node + 6), bytes.readUInt32BE(node + 10)];
      for (let child = first; child < first + count; child++) visit(child, index === 0 ? "" : `${path}/`);
    } else {
      const offset = bytes.readUInt32BE(node + 10);
      files.push({ path, read: () => contentAt(offset, flags, path) });
    }
  };
  visit(0, "");
  return files;
}
