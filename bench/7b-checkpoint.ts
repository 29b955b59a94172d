/**
 * @file A checkpoint with Chameleon-7B's shape and random weights, in Hugging Face's layout: bfloat16 shards with an
 * index. Its outputs are meaningless, but it costs as much as the published one.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type DecoderConfig, decoderToJson } from "../src/chameleon/checkpoint/config.ts";
import { decoderParameters } from "../src/chameleon/model/parameters.ts";
import { trainBpe } from "../src/chameleon/tokenizers/train-bpe.ts";
import { Random } from "../src/random.ts";
import { writeFileAtomic } from "../src/runtime/files.ts";
import { float32ToBfloat16 } from "../src/runtime/float16.ts";
import { type TensorToWrite, writeSafetensors } from "../src/runtime/safetensors.ts";

/** Chameleon-7B (https://huggingface.co/facebook/chameleon-7b/blob/main/config.json). */
export const chameleon7b: DecoderConfig = {
  vocabularySize: 65_536,
  hiddenSize: 4096,
  intermediateSize: 11_008,
  layers: 32,
  heads: 32,
  keyValueHeads: 32,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 10_000 },
  maxPositions: 4096,
  swinNorm: false,
};

const IMAGE_CODES = 8192;
/** Standard deviation of a matrix's elements: about 1 / √hidden, so that rows keep their length. */
const DEVIATION = 0.0156;
/** Number of different values. Larger tensors repeat them, each from another offset. */
const POOL = 2 ** 22;
const SHARD_BYTES = 5e9;

/** Writes the checkpoint into `folder`, which is created if needed. The bytes are the same at every call. */
export async function writeCheckpoint(folder: string, config: DecoderConfig): Promise<void> {
  await mkdir(folder, { recursive: true });
  const pool = randomPool();
  const ones = float32ToBfloat16(new Float32Array(config.hiddenSize).fill(1));
  const tensors = [...decoderParameters(config)].map(
    ([name, shape], i): TensorToWrite & { bytes: number } => {
      const size = shape.reduce((product, dim) => product * dim, 1);
      const data = () => {
        if (name.includes("norm"))
          return name.endsWith("bias") ? new Uint16Array(size) : ones.subarray(0, size);
        return repeated(pool, size, (i * 7_919_993) % POOL);
      };
      return { name, dtype: "BF16", shape, data, bytes: 2 * size };
    },
  );
  const shards: (typeof tensors)[] = [[]];
  let held = 0;
  for (const tensor of tensors) {
    if (held > 0 && held + tensor.bytes > SHARD_BYTES) {
      shards.push([]);
      held = 0;
    }
    shards.at(-1)!.push(tensor);
    held += tensor.bytes;
  }
  const number = (i: number) => String(i).padStart(5, "0");
  const weightMap: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const file = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    process.stderr.write(`writing ${file}\n`);
    await writeSafetensors(join(folder, file), shard, { format: "pt" });
    for (const { name } of shard) weightMap[name] = file;
  }
  const json = (name: string, value: unknown) => writeFileAtomic(join(folder, name), JSON.stringify(value));
  const total = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  await json("model.safetensors.index.json", { metadata: { total_size: total }, weight_map: weightMap });
  await json("tokenizer.json", tokenizerOf(config.vocabularySize));
  await json("config.json", { ...decoderToJson(config), model_type: "chameleon", vq_config: {} });
}

/** Normally distributed bfloat16 bit patterns. */
function randomPool(): Uint16Array<ArrayBuffer> {
  const random = Random.of(7, "weights");
  return float32ToBfloat16(Float32Array.from({ length: POOL }, () => random.normal(0, DEVIATION)));
}

function repeated(pool: Uint16Array, size: number, start: number): Uint16Array {
  const values = new Uint16Array(size);
  for (let at = 0, from = start; at < size; from = 0) {
    const part = pool.subarray(from, Math.min(POOL, from + size - at));
    values.set(part, at);
    at += part.length;
  }
  return values;
}

/** A tokenizer that fills the vocabulary: image codes with Chameleon's ids, and pairs of bytes as text. */
function tokenizerOf(vocabularySize: number): unknown {
  const file = trainBpe([], { merges: 0, imageCodes: IMAGE_CODES, xpTokens: 0 });
  const { vocab, merges } = file.model;
  const bytes = Object.keys(vocab).slice(-256);
  let id = Object.keys(vocab).length;
  for (const left of bytes)
    for (const right of bytes) {
      if (id >= vocabularySize) break;
      merges.push([left, right]);
      vocab[left + right] = id++;
    }
  return file;
}
