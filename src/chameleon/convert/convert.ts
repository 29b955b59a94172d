/**
 * @file Converting a model folder to another format, a few rows of a tensor at a time, so that the memory needed does not
 * depend on the size of the model.
 */
import { createHash, type Hash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, type FileHandle, open, realpath, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import { product } from "../../numbers.ts";
import { attempt, placeFolder, readJson, writeJson } from "../../runtime/files.ts";
import { defaultThreads, moduleBeside, ThreadPool } from "../../runtime/threads.ts";
import { openWeights } from "../../runtime/weights.ts";
import { chameleonConfigSchema, decoderFromJson, vqganFromJson, vqganToJson } from "../checkpoint/config.ts";
import { loadTextTokenizer } from "../checkpoint/folder.ts";
import { type BlockSize, quantizationConfig } from "../checkpoint/quantize.ts";
import type { VqganConfig } from "../tokenizers/vqgan.ts";
import { checkInput, checkOutput, checkRoom } from "./checks.ts";
import { addedImageTokenizer, companionsOf, digestOf, identityOf, withAdded } from "./input.ts";
import { ConversionJournal, type FinishedSource } from "./journal.ts";
import { PAGE, writePage } from "./page.ts";
import { type ConvertedPart, convertPart, isCopy, type Part } from "./part.ts";
import {
  type ConversionInput,
  type ConversionPlan,
  type Format,
  type PlannedSource,
  planConversion,
  type Target,
  targetOf,
} from "./plan.ts";

export type ConversionPhase = "checking" | "converting" | "verifying";

export interface ConvertOptions {
  readonly format: Format;
  /** Numbers that share a scale in 4 or 8 bits. Defaults to 64 and 128. */
  readonly blockSize?: BlockSize;
  /** The folder to write. */
  readonly output: string;
  /**
   * The image tokenizer's decoder, if the weights have none: Meta's `vqgan.ckpt`, or a folder with a VQ-VAE. It becomes
   * part of the output. Defaults to the one in the folder.
   */
  readonly imageTokenizer?: string;
  /** Worker threads; 0 for none. Defaults to one per core, at most 8. */
  readonly threads?: number;
  /** Stops the conversion; a later call with the same input and options continues it. */
  readonly signal?: AbortSignal;
  /** Bytes done in a phase. In "converting" these survive an interruption. */
  onProgress?(phase: ConversionPhase, done: number, total: number): void;
  /** Receives notes of one line. */
  onNote?(line: string): void;
}

export interface Conversion {
  readonly input: string;
  readonly output: string;
  readonly format: Format;
  readonly parameters: number;
  readonly bytes: { readonly in: number; readonly out: number };
  readonly seconds: number;
  /** Of `model.safetensors`. */
  readonly sha256: string;
}

const WEIGHTS = "model.safetensors";
/** Numbers per job of a thread. */
const PART = 2 ** 22;
/** Bytes between two flushes to the disk, which the journal records. */
const SAFE_AFTER = 4 * 2 ** 20;
/**
 * Converts a model folder. `output` appears once it is complete and verified by reading it back.
 * @throws XPromptError for an incomplete input, one that the format does not support, or too little disk space
 * @throws the signal's reason when it is aborted
 */
export async function convertModel(input: string, options: ConvertOptions): Promise<Conversion> {
  const started = performance.now();
  const { format, blockSize, signal } = options;
  const target = targetOf(format, blockSize);
  const output = await realpath(options.output).catch(() => resolve(options.output));
  const raw = await readJson(join(input, "config.json"), z.looseObject({}), "model config");
  const config = await readJson(join(input, "config.json"), chameleonConfigSchema, "model config");
  const text = await loadTextTokenizer(input, config);
  await checkOutput(input, output);
  const stored = await openWeights(input);
  try {
    const added = await addedImageTokenizer(input, stored, options.imageTokenizer);
    const weights = added ? withAdded(stored, added.weights) : stored;
    const image = added?.config ?? vqganFromJson(config.vq_config);
    const plan = planConversion(weights, { decoder: decoderFromJson(config), image }, target);
    const companions = await companionsOf(input);
    const before = await identityOf(stored, raw);
    const settings = JSON.stringify([target, added && digestOf(added.weights)]);
    const journal = await ConversionJournal.open(output, { input: before, settings });
    let keep = true;
    try {
      const file = join(journal.folder, WEIGHTS);
      await checkRoom(file, output, plan.byteLength);
      if (plan.unknown.length > 0)
        options.onNote?.(
          `note: copied unchanged, since they are not part of the architecture: ${plan.unknown.slice(0, 3).join(", ")}${plan.unknown.length > 3 ? ` and ${plan.unknown.length - 3} more` : ""}`,
        );
      if (journal.discarded)
        options.onNote?.(`note: found an unfinished conversion of ${journal.discarded}: starting again`);
      if (journal.finished.size > 0 && existsSync(file))
        options.onNote?.(
          `note: continuing an interrupted conversion: ${journal.finished.size} of ${plan.sources.length} tensors are done`,
        );
      else if (config.weights_sha256 !== undefined && existsSync(join(input, WEIGHTS))) {
        const { size } = await stat(join(input, WEIGHTS));
        await checkInput(join(input, WEIGHTS), config.weights_sha256, signal, (done) =>
          options.onProgress?.("checking", done, size),
        );
      }
      await writeTensors(weights, plan, journal, file, options);
      const checksum = await verify(file, plan, journal, options);
      if ((await identityOf(stored, raw)) !== before) {
        keep = false;
        throw new XPromptError(
          `converting ${input}: expected its files to stay the same, got changed ones (run it again)`,
        );
      }
      const made = {
        ...configOf(raw, target, added?.config),
        weights_sha256: checksum,
        tokenizer_sha256: text.checksum,
      };
      await writeJson(join(journal.folder, "config.json"), made);
      for (const name of companions)
        await attempt(`copying ${join(input, name)}`, input, () =>
          name === PAGE
            ? writePage(input, journal.folder, target)
            : copyFile(join(input, name), join(journal.folder, name)),
        );
      signal?.throwIfAborted();
      await placeFolder(journal.folder, output);
      keep = false;
      const size = [...weights.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
      return {
        input,
        output: options.output,
        format,
        parameters: plan.parameters,
        bytes: { in: size, out: plan.byteLength },
        seconds: (performance.now() - started) / 1000,
        sha256: checksum,
      };
    } catch (error) {
      if (error instanceof UnusableNumber) keep = false;
      throw error;
    } finally {
      await (keep && journal.finished.size > 0 ? journal.close() : journal.discard());
    }
  } finally {
    await stored.close();
  }
}

/** A weight that the format cannot represent: a resumed conversion would fail again. */
class UnusableNumber extends XPromptError {}

/** Converts the tensors that the journal does not have. */
async function writeTensors(
  weights: ConversionInput,
  plan: ConversionPlan,
  journal: ConversionJournal,
  target: string,
  { threads = defaultThreads(), signal, onProgress }: ConvertOptions,
): Promise<void> {
  const doing = `writing ${target}`;
  if (!existsSync(target)) await journal.restart();
  const total = plan.sources.reduce((sum, { info }) => sum + info.byteLength, 0);
  const todo = plan.sources.filter(({ name }) => !journal.finished.has(name));
  let done = total - todo.reduce((sum, { info }) => sum + info.byteLength, 0);
  const file = await attempt(doing, target, () => open(target, existsSync(target) ? "r+" : "w"));
  const helpers = todo.some(({ encoding }) => !isCopy(encoding)) ? threads : 0;
  const pool = new ThreadPool<Part, ConvertedPart>(moduleBeside(import.meta.url, "worker"), helpers);
  try {
    await attempt(doing, target, async () => {
      await file.truncate(plan.byteLength);
      await writeAt(file, plan.header, 0);
    });
    const unsafe: FinishedSource[] = [];
    let [unsafeBytes, safe] = [0, done];
    const makeSafe = async () => {
      await attempt(doing, target, () => file.datasync());
      await journal.finish(unsafe);
      unsafe.length = unsafeBytes = 0;
      safe = done;
    };
    onProgress?.("converting", safe, total);
    const pending: {
      readonly answer: Promise<ConvertedPart>;
      readonly writing: Writing;
      readonly last: boolean;
    }[] = [];
    const writeNext = async () => {
      const { answer, writing, last } = pending.shift()!;
      const parts = await answer.catch((error: unknown) => {
        if (!(error instanceof XPromptError)) throw error;
        throw new UnusableNumber(`converting ${weights.folder}: ${writing.source.name}: ${error.message}`);
      });
      unsafeBytes += await attempt(doing, target, () => writing.write(file, parts));
      if (!last) return;
      unsafe.push(writing.finished());
      done += writing.source.info.byteLength;
      if (unsafeBytes < SAFE_AFTER) return;
      await makeSafe();
      onProgress?.("converting", safe, total);
    };
    for (const source of todo) {
      const writing = new Writing(source, plan.offsets);
      for await (const { part, last } of partsOf(weights, source)) {
        signal?.throwIfAborted();
        const answer =
          helpers > 0 && !isCopy(part.encoding)
            ? pool.run(part, [part.bytes.buffer])
            : Promise.resolve(part).then(convertPart);
        answer.catch(() => {}); // It is awaited in its turn.
        pending.push({ answer, writing, last });
        if (pending.length > threads + 1) await writeNext();
      }
    }
    while (pending.length > 0) await writeNext();
    if (unsafe.length > 0) await makeSafe();
    onProgress?.("converting", total, total);
  } finally {
    await pool.close();
    await file.close();
  }
}

/** The rows of a tensor in parts; one empty part for an empty tensor. */
async function* partsOf(
  weights: ConversionInput,
  { name, info, columns, encoding }: PlannedSource,
): AsyncGenerator<{ readonly part: Part; readonly last: boolean }> {
  const numbers = product(info.shape);
  const rows = numbers / columns || 0;
  const rowBytes = info.byteLength / Math.max(1, rows);
  const step = Math.max(1, Math.floor(PART / columns));
  for (let row = 0; row < rows || row === 0; row += step) {
    const count = Math.min(step, rows - row);
    const bytes = await weights.readPart(name, row * rowBytes, count * rowBytes);
    const part = { dtype: info.dtype, shape: [count, columns], bytes, columns, encoding };
    yield { part, last: row + step >= rows };
  }
}

/** Writes the parts of a tensor in order. */
class Writing {
  private readonly hashes: Hash[];
  private readonly ends: number[];

  constructor(
    readonly source: PlannedSource,
    offsets: ReadonlyMap<string, number>,
  ) {
    this.hashes = source.outputs.map(() => createHash("sha256"));
    this.ends = source.outputs.map(({ name }) => offsets.get(name)!);
  }

  /** @returns the number of bytes written */
  async write(file: FileHandle, parts: ConvertedPart): Promise<number> {
    let written = 0;
    for (const [i, bytes] of parts.entries()) {
      this.hashes[i]!.update(bytes);
      await writeAt(file, bytes, this.ends[i]!);
      this.ends[i]! += bytes.length;
      written += bytes.length;
    }
    return written;
  }

  finished(): FinishedSource {
    const digests = this.source.outputs.map(({ name }, i) => [name, this.hashes[i]!.digest("hex")]);
    return { source: this.source.name, sha256: Object.fromEntries(digests) };
  }
}

async function writeAt(file: FileHandle, bytes: Uint8Array, place: number): Promise<void> {
  for (let at = 0; at < bytes.length; )
    at += (await file.write(bytes, at, bytes.length - at, place + at)).bytesWritten;
}

/** Reads the file back. @returns its SHA-256 @throws XPromptError naming the first tensor that differs from what was written */
async function verify(
  target: string,
  plan: ConversionPlan,
  journal: ConversionJournal,
  { signal, onProgress }: ConvertOptions,
): Promise<string> {
  const whole = createHash("sha256");
  const written = new Map([...journal.finished.values()].flatMap(({ sha256 }) => Object.entries(sha256)));
  const ranges = [
    { name: undefined, start: 0, end: plan.header.length, digest: sha256(plan.header) },
    ...plan.sources.flatMap(({ outputs }) =>
      outputs.map(({ name, byteLength }) => {
        const start = plan.offsets.get(name)!;
        return { name, start, end: start + byteLength, digest: written.get(name)! };
      }),
    ),
  ].sort((a, b) => a.start - b.start || a.end - b.end);
  const doing = `reading ${target} back`;
  const file = await attempt(doing, target, () => open(target));
  const buffer = new Uint8Array(2 ** 22);
  try {
    for (const { name, start, end, digest } of ranges) {
      signal?.throwIfAborted();
      const hash = createHash("sha256");
      for (let at = start; at < end; ) {
        const wanted = Math.min(buffer.length, end - at);
        const { bytesRead } = await attempt(doing, target, () => file.read(buffer, 0, wanted, at));
        if (bytesRead === 0) break;
        const bytes = buffer.subarray(0, bytesRead);
        hash.update(bytes);
        whole.update(bytes);
        at += bytesRead;
      }
      if (hash.digest("hex") !== digest) {
        await rm(target); // the journal records more than the disk kept
        throw new XPromptError(
          `${doing}: ${name ?? "the header"} is not what was written (check the disk, and run it again)`,
        );
      }
      onProgress?.("verifying", end, plan.byteLength);
    }
  } finally {
    await file.close();
  }
  return whole.digest("hex");
}

/** The new `config.json`, without the checksums. */
function configOf(
  raw: Readonly<Record<string, unknown>>,
  target: Target,
  image: VqganConfig | undefined,
): Record<string, unknown> {
  const made: Record<string, unknown> = { ...raw };
  if (image) made.vq_config = { ...Object(raw.vq_config), ...vqganToJson(image) };
  if (target === "none") return made;
  for (const key of ["dtype", "torch_dtype"]) if (key in made) made[key] = "float16";
  if (target !== "float16") made.quantization_config = quantizationConfig(target);
  return made;
}
