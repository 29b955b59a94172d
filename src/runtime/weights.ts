/**
 * @file The weights of a checkpoint folder in Hugging Face's layout: one file `model.safetensors`, or shards with a
 * `model.safetensors.index.json`, whose `weight_map` maps tensors to files.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import { attempt, readJson } from "./files.ts";
import { SafetensorsFile, type StoredTensor, type TensorInfo } from "./safetensors.ts";
import { quote } from "./safetensors-header.ts";
import { recoverDirectory } from "./temporary.ts";

const single = "model.safetensors";
const sharded = "model.safetensors.index.json";
/** The most characters of a file name. */
const LONGEST_NAME = 255;
const indexSchema = z.object({
  weight_map: z.record(z.string(), z.string()),
});

/** All tensors of a checkpoint folder, each read from the file that holds it. */
export class WeightFolder {
  /** The tensors by name, in the order of the files and of their data in each. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;

  constructor(
    readonly folder: string,
    private readonly homes: ReadonlyMap<string, SafetensorsFile>,
    /** All open files, also one without tensors. */
    readonly files: readonly SafetensorsFile[],
  ) {
    this.tensors = new Map([...homes].map(([name, file]) => [name, file.tensors.get(name)!]));
  }

  /** Free text by key, added by the writer; later shards win. */
  get metadata(): Readonly<Record<string, string>> {
    return Object.assign({}, ...this.files.map((file) => file.metadata));
  }

  /**
   * One tensor as stored.
   * @throws XPromptError when the checkpoint has no such tensor, or a file has changed since it was opened
   */
  async read(name: string): Promise<StoredTensor> {
    return this.home(name).read(name);
  }

  /**
   * `length` bytes of a tensor from its byte `start`.
   * @throws XPromptError as `read`
   */
  async readPart(name: string, start: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.home(name).readPart(name, start, length);
  }

  /**
   * The values of an F32, F16 or BF16 tensor, in row-major order.
   * @throws XPromptError as `read`, or when it has another type.
   */
  async readFloat32(name: string): Promise<Float32Array<ArrayBuffer>> {
    return this.home(name).readFloat32(name);
  }

  /** Closes all files. */
  async close(): Promise<void> {
    await closeAll(this.files);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The file that holds a tensor. @throws XPromptError when the checkpoint has no such tensor */
  pathOf(name: string): string {
    return this.home(name).path;
  }

  private home(name: string): SafetensorsFile {
    const file = this.homes.get(name);
    if (file) return file;
    throw new XPromptError(
      `reading tensor ${quote(name)} of ${this.folder}: expected it in the folder, got ${this.homes.size} others (another model?)`,
    );
  }
}

/**
 * Opens the weights in `path`: a checkpoint folder, or one safetensors file. Checks every header, and that every tensor
 * of the index is in its file, so that missing tensors are known before any long work.
 * @throws XPromptError when there are no weights, a shard is missing or damaged, or a tensor is not where the index says
 */
export async function openWeights(path: string): Promise<WeightFolder> {
  const doing = `reading weights ${path}`;
  await stat(path).catch(() => recoverDirectory(dirname(path)));
  const found = await attempt(doing, path, () => stat(path));
  if (!found.isDirectory()) return openSingle(path, path);
  const names = await attempt(doing, path, () => readdir(path));
  if (names.includes(single)) return openSingle(path, join(path, single));
  if (names.includes(sharded)) return openShards(path);
  const got =
    names.length === 0 ? "an empty folder" : names.slice(0, 4).join(", ") + (names.length > 4 ? ", …" : "");
  throw new XPromptError(`${doing}: expected ${single} or ${sharded}, got ${got} (use a checkpoint folder)`);
}

async function openSingle(folder: string, path: string): Promise<WeightFolder> {
  const file = await SafetensorsFile.open(path);
  return new WeightFolder(folder, new Map([...file.tensors.keys()].map((name) => [name, file])), [file]);
}

async function openShards(folder: string): Promise<WeightFolder> {
  const index = join(folder, sharded);
  const { weight_map: homeNames } = await readJson(index, indexSchema, "weight index");
  const shards = new Map<string, SafetensorsFile>();
  try {
    for (const shard of new Set(Object.values(homeNames))) {
      if (
        basename(shard) !== shard ||
        shard === ".." ||
        shard.includes("\0") ||
        shard.length > LONGEST_NAME
      ) {
        throw new XPromptError(
          `reading weight index ${index}: expected names of files beside it, got ${quote(shard)}`,
        );
      }
      shards.set(shard, await SafetensorsFile.open(join(folder, shard)));
    }
    const named = new Set(Object.keys(homeNames));
    const homes = new Map<string, SafetensorsFile>();
    for (const file of shards.values()) {
      for (const name of file.tensors.keys()) {
        if (named.has(name) && shards.get(homeNames[name]!) === file) homes.set(name, file);
      }
    }
    for (const [name, shard] of Object.entries(homeNames)) {
      if (homes.has(name)) continue;
      throw new XPromptError(
        `reading weights ${folder}: expected tensor ${quote(name)} in ${shard}, as the index says, got none ` +
          "(the shard belongs to another checkpoint; copy it again)",
      );
    }
    return new WeightFolder(folder, homes, [...shards.values()]);
  } catch (error) {
    await closeAll(shards.values());
    throw error;
  }
}

async function closeAll(files: Iterable<SafetensorsFile>): Promise<void> {
  await Promise.all([...files].map((file) => file.close()));
}
