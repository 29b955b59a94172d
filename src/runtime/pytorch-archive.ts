/** @file The zip of a PyTorch checkpoint: entries as they are, of which any range can be read. */
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { type Entry, fromFdPromise, type ZipFile } from "yauzl";
import { firstLineOf, XPromptError } from "../errors.ts";
import { attempt, openFile } from "./files.ts";
import { readRange } from "./safetensors.ts";
import { quote } from "./safetensors-header.ts";

/** The most bytes of an entry that is read whole: the pickle, which holds no values of tensors. */
const maxWholeEntry = 64 * 2 ** 20;
const maxEntries = 2 ** 20;
/** Bytes that are read at a time to make a sum. */
const STRETCH = 2 ** 22;

/** A checkpoint's zip that is open for reading. Entries go by their names below the one folder that holds them all. */
export class PyTorchArchive {
  /** Whether numbers have their highest byte first. */
  isBigEndian = false;
  /** Entries that are as they were written. */
  private readonly verified = new Set<string>();

  private constructor(
    private readonly path: string,
    private readonly doing: string,
    private readonly handle: FileHandle,
    private readonly zip: ZipFile,
    private readonly entries: ReadonlyMap<string, Entry>,
  ) {}

  /**
   * Opens a zip and reads its directory.
   * @param doing what is being done, for errors
   * @throws XPromptError when it cannot be read, or is no whole zip as `torch.save` writes it.
   */
  static async open(path: string, doing: string): Promise<PyTorchArchive> {
    const handle = await openFile(path, doing);
    try {
      const found = await attempt(doing, path, () => handle.stat());
      checkBeginning(await readRange(handle, 0, Math.min(found.size, 4), doing), doing);
      const archive = await whole(doing, async () => {
        const zip = await fromFdPromise(handle.fd, { autoClose: false });
        return new PyTorchArchive(path, doing, handle, zip, await listEntries(zip, doing));
      });
      await archive.readByteOrder();
      return archive;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * A part of an entry, in bytes; all of it unless told.
   * @throws XPromptError when there is no such entry, or it is packed, too long to be read whole, cut off or damaged.
   */
  async read(name: string, start = 0, length?: number): Promise<Uint8Array<ArrayBuffer>> {
    const entry = this.entry(name);
    const all = entry.uncompressedSize;
    if (length === undefined && all > maxWholeEntry)
      throw new XPromptError(
        `${this.doing}: expected ${name} of at most ${maxWholeEntry} bytes, got ${all} (is it a checkpoint?)`,
      );
    const { fileDataStart } = await whole(this.doing, () =>
      this.zip.readLocalFileHeaderPromise(entry, { minimal: true }),
    );
    const range = (from: number, count: number) =>
      attempt(this.doing, this.path, () => readRange(this.handle, fileDataStart + from, count, this.doing));
    await this.verify(name, entry, range);
    return range(start, length ?? all - start);
  }

  /** Compares an entry with its sum, once. A sum of 0 is none: PyTorch can be told not to make any. */
  private async verify(
    name: string,
    { crc32: expected, uncompressedSize }: Entry,
    range: (from: number, count: number) => Promise<Uint8Array>,
  ): Promise<void> {
    if (expected === 0 || this.verified.has(name)) return;
    let sum = 0;
    for (let at = 0; at < uncompressedSize; at += STRETCH)
      sum = crc32(await range(at, Math.min(STRETCH, uncompressedSize - at)), sum);
    if (sum !== expected)
      throw new XPromptError(
        `${this.doing}: ${quote(name)}: its checksum is not the one that was written: the file is damaged (copy it again)`,
      );
    this.verified.add(name);
  }

  /**
   * Checks that an entry can be read.
   * @throws XPromptError when there is none, it is packed, or has fewer bytes than `needed`.
   */
  check(name: string, needed: number): void {
    const { uncompressedSize } = this.entry(name);
    if (uncompressedSize < needed)
      throw new XPromptError(
        `${this.doing}: expected ${name} of at least ${needed} bytes, got ${uncompressedSize} (the file is broken)`,
      );
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private entry(name: string): Entry {
    const entry = this.entries.get(name);
    if (!entry)
      throw new XPromptError(`${this.doing}: expected ${name} in the zip, got none (the file is broken)`);
    if (entry.compressionMethod !== 0 || entry.isEncrypted())
      throw new XPromptError(
        `${this.doing}: expected ${name} as it is, got it packed or encrypted (save it again with torch.save)`,
      );
    return entry;
  }

  /** Checkpoints say so since PyTorch 2.1; older ones were written by machines with the lowest byte first. */
  private async readByteOrder(): Promise<void> {
    if (!this.entries.has("byteorder")) return;
    const order = Buffer.from(await this.read("byteorder")).toString("latin1");
    if (order !== "little" && order !== "big")
      throw new XPromptError(
        `${this.doing}: expected a byteorder of little or big, got ${quote(order)} (the file is broken)`,
      );
    this.isBigEndian = order === "big";
  }
}

/** Runs what reads the zip; what its library refuses becomes an XPromptError. */
async function whole<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof XPromptError) throw error;
    throw new XPromptError(
      `${doing}: expected a whole zip, got: ${firstLineOf(error)} (the file is cut off or broken; copy it again)`,
    );
  }
}

function checkBeginning(beginning: Uint8Array, doing: string): void {
  const text = Buffer.from(beginning).toString("latin1");
  if (text === "PK\x03\x04") return;
  const got = text.startsWith("\x80")
    ? "a bare pickle, as before PyTorch 1.6 (torch.load it and torch.save it again)"
    : beginning.length === 0
      ? "an empty file (copy it again)"
      : "something else (is it a checkpoint?)";
  throw new XPromptError(`${doing}: expected a zip of torch.save, got ${got}`);
}

/** The entries by their names without the outermost folder, which bears the name that the file was saved under. */
async function listEntries(zip: ZipFile, doing: string): Promise<Map<string, Entry>> {
  const entries: Entry[] = [];
  for await (const entry of zip.eachEntry()) {
    if (entry.relativeOffsetOfLocalHeader + entry.compressedSize > zip.fileSize)
      throw new XPromptError(
        `${doing}: expected ${quote(entry.fileName)} inside the file, got an end beyond it (copy it again)`,
      );
    if (entries.push(entry) > maxEntries)
      throw new XPromptError(
        `${doing}: expected at most ${maxEntries} entries, got more (is it a checkpoint?)`,
      );
  }
  const pickles = entries.filter(({ fileName }) => /^[^/]+\/data\.pkl$/.test(fileName));
  if (pickles.length !== 1)
    throw new XPromptError(
      `${doing}: expected one data.pkl in the zip, got ${pickles.length} (is it a checkpoint of torch.save?)`,
    );
  const root = pickles[0]!.fileName.slice(0, -"data.pkl".length);
  return new Map(
    entries
      .filter(({ fileName }) => fileName.startsWith(root))
      .map((entry) => [entry.fileName.slice(root.length), entry]),
  );
}
