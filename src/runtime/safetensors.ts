/**
 * @file Reads and writes safetensors files: named tensors as raw little-endian values. Opening a file does not read its
 * data; each tensor is then one read of its own range.
 */
import type { FileHandle } from "node:fs/promises";
import { XPromptError } from "../errors.ts";
import { attempt, openFile, type WriteOptions, writeFileAtomic } from "./files.ts";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./float16.ts";
import {
  buildHeader,
  byteLengthOf,
  compareForLayout,
  type Dtype,
  parseHeader,
  parseHeaderLength,
  prefixLength,
  quote,
  type TensorInfo,
} from "./safetensors-header.ts";

export type { Dtype, TensorInfo } from "./safetensors-header.ts";

/** The types that can be read as float32. */
export const FLOATS: readonly Dtype[] = ["F32", "F16", "BF16"];

/** A tensor as stored in a file. */
export interface StoredTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** The values, little-endian and row-major, at the start of a buffer of their own. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A source of bytes. */
interface Source {
  /** `length` bytes from `start`, in a buffer of their own. */
  read(start: number, length: number, doing: string): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** A safetensors file, open for reading. */
export class SafetensorsFile {
  private constructor(
    readonly path: string,
    /** The tensors by name, in the order of their data. */
    readonly tensors: ReadonlyMap<string, TensorInfo>,
    /** Free text by key, added by the writer. */
    readonly metadata: Readonly<Record<string, string>>,
    private readonly source: Source,
  ) {}

  /**
   * Opens a file and checks its header against its length, so that a damaged or truncated file is refused at once.
   * @throws XPromptError when it cannot be read, or is not a complete safetensors file
   */
  static async open(path: string, doing = `reading weights ${path}`): Promise<SafetensorsFile> {
    const handle = await openFile(path, doing);
    try {
      return await attempt(doing, path, async () => {
        const found = await handle.stat();
        const source = {
          read: (start: number, length: number, what: string) => readRange(handle, start, length, what),
          close: () => handle.close(),
        };
        return SafetensorsFile.parse(path, source, found.size, doing);
      });
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * A file in memory. `name` replaces its path in errors.
   * @throws XPromptError when it is not a complete safetensors file
   */
  static async fromBytes(bytes: Uint8Array, name: string): Promise<SafetensorsFile> {
    const source = {
      read: async (start: number, length: number) => new Uint8Array(bytes.subarray(start, start + length)),
      close: async () => {},
    };
    return SafetensorsFile.parse(name, source, bytes.length, `reading weights ${name}`);
  }

  private static async parse(
    path: string,
    source: Source,
    size: number,
    doing: string,
  ): Promise<SafetensorsFile> {
    const prefix = await source.read(0, Math.min(size, prefixLength), doing);
    const length = parseHeaderLength(prefix, size, doing);
    const json = await source.read(prefixLength, length, doing);
    const { tensors, metadata } = parseHeader(json, size, doing);
    return new SafetensorsFile(path, tensors, metadata, source);
  }

  /**
   * One tensor as stored.
   * @throws XPromptError when the file has no such tensor, or has changed since it was opened
   */
  async read(name: string): Promise<StoredTensor> {
    const { dtype, shape, byteLength } = this.info(name);
    return { dtype, shape, bytes: await this.readPart(name, 0, byteLength) };
  }

  /**
   * `length` bytes of a tensor from its byte `start`, at the start of a buffer of their own.
   * @throws XPromptError as `read`
   */
  async readPart(name: string, start: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const { byteOffset } = this.info(name);
    const doing = `reading tensor ${quote(name)} of ${this.path}`;
    return attempt(doing, this.path, () => this.source.read(byteOffset + start, length, doing));
  }

  /**
   * The values of an F32, F16 or BF16 tensor, in row-major order.
   * @throws XPromptError as `read`, or when it has another type.
   */
  async readFloat32(name: string): Promise<Float32Array<ArrayBuffer>> {
    return toFloat32(await this.read(name), `reading tensor ${quote(name)} of ${this.path}`);
  }

  private info(name: string): TensorInfo {
    const info = this.tensors.get(name);
    if (info) return info;
    throw new XPromptError(
      `reading tensor ${quote(name)} of ${this.path}: expected it in the file, got ${this.tensors.size} others (another model?)`,
    );
  }

  /** Closes the file. `tensors` and `metadata` stay valid. */
  async close(): Promise<void> {
    await this.source.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * The values of an F32, F16 or BF16 tensor.
 * @throws XPromptError when it has another type.
 */
export function toFloat32({ dtype, bytes }: StoredTensor, doing: string): Float32Array<ArrayBuffer> {
  if (dtype === "F32") return new Float32Array(bytes.buffer);
  if (dtype === "F16") return float16ToFloat32(new Uint16Array(bytes.buffer));
  if (dtype === "BF16") return bfloat16ToFloat32(new Uint16Array(bytes.buffer));
  throw new XPromptError(`${doing}: expected F32, F16 or BF16, got ${dtype} (another kind of weights?)`);
}

/** Values to write: a `Float32Array`, which is narrowed for F16 and BF16, or any view of the raw bytes. */
export type TensorData = ArrayBufferView;

/**
 * A tensor to write. A function as `data` is called when the tensor is written, so that the model need not fit in
 * memory.
 */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly data: TensorData | (() => TensorData | Promise<TensorData>);
}

export interface SafetensorsOptions extends WriteOptions {
  /** Called after each tensor, in bytes. */
  onProgress?(done: number, total: number): void;
}

/**
 * Writes a safetensors file atomically. The same tensors and metadata in any order give the same bytes: the layout is
 * the reference library's, widest types first, then by name, aligned to 8 bytes.
 * @throws RangeError for a duplicate name, or data that does not fit its type and shape
 * @throws XPromptError when the file system refuses
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
  { onProgress, ...options }: SafetensorsOptions = {},
): Promise<void> {
  const all = [...tensors];
  const total = all.reduce((sum, { dtype, shape }) => sum + byteLengthOf(dtype, shape), 0);
  let done = 0;
  async function* chunks() {
    for await (const chunk of safetensorsChunks(all, metadata)) {
      yield chunk;
      done += chunk.length;
      onProgress?.(Math.min(done, total), total); // the header counts as well
    }
  }
  await writeFileAtomic(path, chunks(), options);
}

/** The bytes of a safetensors file, in order, as `writeSafetensors` writes them. @throws RangeError as it does */
export async function* safetensorsChunks(
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): AsyncGenerator<Uint8Array> {
  const ordered = [...tensors].sort(compareForLayout);
  const names = new Set<string>();
  for (const { name } of ordered) {
    if (names.has(name))
      throw new RangeError(`writing weights: expected each tensor once, got ${quote(name)} twice`);
    names.add(name);
  }
  yield buildHeader(ordered, metadata);
  for (const tensor of ordered) yield await encode(tensor);
}

async function encode({ name, dtype, shape, data }: TensorToWrite): Promise<Uint8Array> {
  const values = typeof data === "function" ? await data() : data;
  const stored = values instanceof Float32Array ? narrow(name, values, dtype) : values;
  const needed = byteLengthOf(dtype, shape);
  if (stored.byteLength !== needed) {
    throw new RangeError(
      `writing tensor ${name}: expected ${needed} bytes for ${dtype} [${shape.join(", ")}], got ${stored.byteLength}`,
    );
  }
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

function narrow(name: string, values: Float32Array, dtype: Dtype): ArrayBufferView {
  if (dtype === "F32") return values;
  if (dtype === "F16") return float32ToFloat16(values);
  if (dtype === "BF16") return float32ToBfloat16(values);
  throw new RangeError(`writing tensor ${name}: expected bytes for ${dtype}, got 32-bit floats`);
}

/** `length` bytes of a file from `start`, in a buffer of their own (typed arrays need its alignment). */
export async function readRange(
  handle: FileHandle,
  start: number,
  length: number,
  doing: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await handle.read(bytes, at, Math.min(length - at, 2 ** 30), start + at);
    if (bytesRead === 0)
      throw new XPromptError(`${doing}: expected ${length} bytes, got ${at} (the file was cut off)`);
    at += bytesRead;
  }
  return bytes;
}
