/** @file The zip of a PyTorch checkpoint. Its entries are uncompressed, so that any range can be read. */
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { type Entry, fromFdPromise, type ZipFile } from "yauzl";
import { firstLineOf, XPromptError } from "../errors.ts";
import { attempt, openFile } from "./files.ts";
import { readRange } from "./safetensors.ts";
import { quote } from "./safetensors-header.ts";

/** The most bytes of an entry that is read at once: the pickle, which has no tensor values. */
const maxWholeEntry = 64 * 2 ** 20;
const maxEntries = 2 ** 20;
/** Bytes per read while computing a checksum. */
const CHUNK = 2 ** 22;

/** The zip of a checkpoint, open for reading. Names of entries omit the common top folder. */
export class PyTorchArchive {
  /** Whether numbers are big-endian. */
  isBigEndian = false;
  /** Entries whose checksum was verified. */
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
   * @param doing the operation, for errors
   * @throws XPromptError when it cannot be read, or is not a complete zip of `torch.save`
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
   * `length` bytes of an entry from its byte `start`. Defaults to the whole entry.
   * @throws XPromptError when the entry is missing, compressed, too long to be read at once, cut off or damaged
   */
  async read(name: string, start = 0, length?: number): Promise<Uint8Array<ArrayBuffer>> {
    const entry = this.entry(name);
    const all = entry.uncompressedSize;
    if (length === undefined && all > maxWholeEntry)
      throw new XPromptError(
        `${this.doing}: expected ${name} with at most ${maxWholeEntry} bytes, got ${all} (is it a checkpoint?)`,
      );
    const { fileDataStart } = await whole(this.doing, () =>
      this.zip.readLocalFileHeaderPromise(entry, { minimal: true }),
    );
    const range = (from: number, count: number) =>
      attempt(this.doing, this.path, () => readRange(this.handle, fileDataStart + from, count, this.doing));
    await this.verify(name, entry, range);
    return range(start, length ?? all - start);
  }

  /** Verifies the CRC-32 of an entry once. 0 means that PyTorch wrote no checksum. */
  private async verify(
    name: string,
    { crc32: expected, uncompressedSize }: Entry,
    range: (from: number, count: number) => Promise<Uint8Array>,
  ): Promise<void> {
    if (expected === 0 || this.verified.has(name)) return;
    let sum = 0;
    for (let at = 0; at < uncompressedSize; at += CHUNK)
      sum = crc32(await range(at, Math.min(CHUNK, uncompressedSize - at)), sum);
    if (sum !== expected)
      throw new XPromptError(
        `${this.doing}: ${quote(name)}: expected the recorded checksum, got another: the file is damaged (copy it again)`,
      );
    this.verified.add(name);
  }

  /**
   * Checks that an entry can be read.
   * @throws XPromptError when it is missing, compressed, or shorter than `needed` bytes
   */
  check(name: string, needed: number): void {
    const { uncompressedSize } = this.entry(name);
    if (uncompressedSize < needed)
      throw new XPromptError(
        `${this.doing}: expected ${name} with at least ${needed} bytes, got ${uncompressedSize} (the file is broken)`,
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
        `${this.doing}: expected ${name} uncompressed, got it compressed or encrypted (save it again with torch.save)`,
      );
    return entry;
  }

  /** The byte order, recorded since PyTorch 2.1; older checkpoints are little-endian. */
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

/** Runs an operation on the zip; errors of the library become XPromptErrors. */
async function whole<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof XPromptError) throw error;
    throw new XPromptError(
      `${doing}: expected a complete zip, got: ${firstLineOf(error)} (the file is cut off or broken; copy it again)`,
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

/** The entries by name, without the top folder, which has the name of the file. */
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
