/** @file Running an ONNX model with onnxruntime on a device. */
import { statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import * as ort from "onnxruntime-node";
import { firstLineOf, XPromptError } from "../errors.ts";

export const devices = ["cpu", "webgpu", "cuda"] as const;
export type Device = (typeof devices)[number];

/** An input or output of a session. */
export type Value = ort.Tensor;
export type Feeds = Readonly<Record<string, Value>>;

export interface SessionOptions {
  /** Where to run. Defaults to "cpu". */
  readonly device?: Device;
  /** Threads on the CPU. Defaults to one per physical core. */
  readonly threads?: number;
  /**
   * Whether the session keeps freed memory for its next run. Defaults to true. With false, sessions share the memory of
   * the process, and runs take longer.
   */
  readonly arena?: boolean;
}

export const float32 = (data: Float32Array, shape: readonly number[]): Value =>
  new ort.Tensor("float32", data, shape);

export const int64 = (ids: BigInt64Array | readonly number[], shape: readonly number[]): Value =>
  new ort.Tensor("int64", ids instanceof BigInt64Array ? ids : BigInt64Array.from(ids, BigInt), shape);

/** The float32 elements of a value. */
export const floats = (value: Value): Float32Array => value.data as Float32Array;

export class Session {
  private released: Promise<void> | undefined;

  private constructor(private readonly session: ort.InferenceSession) {}

  /**
   * @param model the bytes of an ONNX file, or its path
   * @param dataFolder the folder of the weight files of a model given as bytes
   * @throws XPromptError when the device is not available here
   */
  static async create(
    model: Uint8Array | string,
    { device = "cpu", threads = 0, arena = true }: SessionOptions = {},
    dataFolder?: string,
  ): Promise<Session> {
    if (device === "cuda") requireCuda();
    const options: ort.InferenceSession.SessionOptions = {
      executionProviders: [device],
      intraOpNumThreads: threads,
      graphOptimizationLevel: "all",
      // A memory pattern would add one block per session beside the arena, and is no faster.
      enableMemPattern: false,
      enableCpuMemArena: arena,
      logSeverityLevel: 3,
      extra: {
        session: {
          // An arena would take up to twice the weights.
          use_device_allocator_for_initializers: "1",
          ...(dataFolder !== undefined && { model_external_initializers_file_folder_path: dataFolder }),
        },
      },
    };
    try {
      const create = ort.InferenceSession.create as (
        model: Uint8Array | string,
        options: ort.InferenceSession.SessionOptions,
      ) => Promise<ort.InferenceSession>;
      return new Session(await create(model, options));
    } catch (error) {
      if (device === "cpu") throw error;
      throw new XPromptError(
        `device ${device}: not available here: ${firstLineOf(error)} (use --device cpu)`,
        { code: "ERR_DEVICE", cause: error },
      );
    }
  }

  /**
   * Runs the model. With `into`, it computes only the outputs named there. A value receives its output in place,
   * without a copy (the run must not read the same buffer); null allocates a new value.
   * @throws XPromptError after the release
   */
  async run(
    feeds: Feeds,
    into?: Readonly<Record<string, Value | null>>,
  ): Promise<Readonly<Record<string, Value>>> {
    if (this.released) throw afterRelease();
    const results = into ? await this.session.run(feeds, { ...into }) : await this.session.run(feeds);
    return results as Record<string, Value>;
  }

  /** Runs the model; takes its inputs from the given values by name. */
  async runOn(offered: Feeds): Promise<Readonly<Record<string, Value>>> {
    return this.run(Object.fromEntries(this.inputNames.map((name) => [name, offered[name]!])));
  }

  get inputNames(): readonly string[] {
    return this.session.inputNames;
  }

  get outputNames(): readonly string[] {
    return this.session.outputNames;
  }

  /** Frees the memory. Further calls do nothing. */
  release(): Promise<void> {
    this.released ??= this.session.release();
    return this.released;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

/** The error of a call on a released model. */
export const afterRelease = (): XPromptError =>
  new XPromptError("running a model: expected a loaded model, got a released one (load it again)", {
    code: "ERR_RELEASED",
  });

/** The CUDA provider is a separate download of several hundred megabytes; without it onnxruntime fails late. */
function requireCuda(): void {
  const root = dirname(createRequire(import.meta.url).resolve("onnxruntime-node/package.json"));
  const library = join(
    root,
    "bin",
    "napi-v6",
    process.platform,
    process.arch,
    "libonnxruntime_providers_cuda.so",
  );
  // If CUDA was left out at installation, this file is empty (bin/skip-cuda.js).
  if (statSync(library, { throwIfNoEntry: false })?.size) return;
  throw new XPromptError(
    "device cuda: the CUDA libraries of onnxruntime-node are not installed (see docs/devices.md, or use --device cpu)",
    { code: "ERR_DEVICE" },
  );
}
