/** @file The input of a conversion: the weights of a folder, a separate image tokenizer, and the other files. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import type { WeightFolder } from "../../runtime/weights.ts";
import type { Weight } from "../checkpoint/folder.ts";
import { imageTokenizerPlaces, openImageTokenizer } from "../checkpoint/vqgan-checkpoint.ts";
import { hasPictureDecoder } from "../tokenizers/image-tokenizer.ts";
import type { VqganConfig } from "../tokenizers/vqgan.ts";
import type { ConversionInput } from "./plan.ts";

/** An image tokenizer that is not, or not completely, among the weights of a folder. */
interface AddedImageTokenizer {
  readonly config: VqganConfig;
  /** Its tensors that the folder's weights lack. */
  readonly weights: ReadonlyMap<string, Weight>;
}

export async function addedImageTokenizer(
  input: string,
  { tensors }: WeightFolder,
  imageTokenizer: string | undefined,
): Promise<AddedImageTokenizer | undefined> {
  const isWhole = hasPictureDecoder(tensors);
  if (isWhole && imageTokenizer !== undefined)
    throw new XPromptError(
      `converting ${input} with the image tokenizer ${imageTokenizer}: expected weights without a picture decoder, got weights with one (omit the image tokenizer)`,
    );
  const found = !isWhole && imageTokenizerPlaces.some((place) => existsSync(join(input, place)));
  if (imageTokenizer === undefined && !found) return undefined;
  const { config, weights } = await openImageTokenizer(input, { imageTokenizer });
  return { config, weights: new Map([...weights].filter(([name]) => !tensors.has(name))) };
}

/** The weights of a folder, and additional ones in memory. */
export function withAdded(stored: WeightFolder, added: ReadonlyMap<string, Weight>): ConversionInput {
  const infos = [...added].map(([name, { shape, data }]) => {
    const info = { dtype: "F32" as const, shape, byteOffset: 0, byteLength: data.byteLength };
    return [name, info] as const;
  });
  return {
    folder: stored.folder,
    metadata: stored.metadata,
    tensors: new Map([...stored.tensors, ...infos]),
    async readPart(name, start, length) {
      const data = added.get(name)?.data;
      if (!data) return stored.readPart(name, start, length);
      return new Uint8Array(data.buffer, data.byteOffset + start, length).slice() as Uint8Array<ArrayBuffer>;
    },
  };
}

export function digestOf(weights: ReadonlyMap<string, Weight>): string {
  const hash = createHash("sha256");
  for (const [name, { data }] of weights) hash.update(name).update(data);
  return hash.digest("hex");
}

/** A digest of the weights without reading them all. */
export async function identityOf(weights: WeightFolder, config: object): Promise<string> {
  const files = [];
  for (const file of weights.files) {
    const { size, mtimeNs } = await stat(file.path, { bigint: true });
    files.push([file.path, String(size), String(mtimeNs), [...file.tensors]]);
  }
  return sha256(JSON.stringify([config, files]));
}

/** Files to copy with a model: tokenizer, processor, texts and licences. */
const companion = /\.(json|jinja|txt|model|md)$|^(LICENSE|NOTICE|USE_POLICY)/i;
const LARGEST_COMPANION = 2 ** 27;

/** The names of the files to copy. */
export async function companionsOf(input: string): Promise<string[]> {
  const names = [];
  for (const entry of await readdir(input, { withFileTypes: true })) {
    const { name } = entry;
    if (name === "config.json" || name.endsWith(".safetensors.index.json") || !companion.test(name)) continue;
    const found = await stat(join(input, name));
    if (found.isFile() && found.size <= LARGEST_COMPANION) names.push(name);
  }
  return names.sort();
}
