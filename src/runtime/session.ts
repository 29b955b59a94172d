/** @file Running an ONNX model with onnxruntime on a device. */
import { firstLineOf, XPromptError } from "../errors.ts";
import { createSession, type InferenceSession, Tensor } from "./onnxruntime.ts";
import type { SessionOptions } from "./session-options.ts";

/** An input or output of a session. */
export type Value = Tensor;
export type Feeds = Readonly<Record<string, Value>>;

export const float32 = (data: Float32Array, shape: readonly number[]): Value =>
  new Tensor("float32", data, shape);

export const int64 = (ids: BigInt64Array | readonly number[], shape: readonly number[]): Value =>
  new Tensor("int64", ids instanceof BigInt64Array ? ids : BigInt64Array.from(ids, BigInt), shape);

/** The float32 elements of a value. */
export const floats = (value: Value): Float32Array => value.data as Float32Array;

/** The reason in onnxruntime's message, without the place in its source. */
const reasonOf = (error: unknown): string => firstLineOf(error).replace(/^.*\bwas false\.\s*/s, "");

export class Session {
  private released: Promise<void> | undefined;

  private constructor(private readonly session: InferenceSession) {}

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
    try {
      return new Session(await createSession(model, { device, threads, arena }, dataFolder));
    } catch (error) {
      if (device === "cpu" || error instanceof XPromptError) throw error;
      throw new XPromptError(`device ${device}: not available here: ${reasonOf(error)} (use --device cpu)`, {
        code: "ERR_DEVICE",
        cause: error,
      });
    }
  }

  /**
   * Runs the model. With `into`, it computes only the outputs named there. A value receives its output in place,
   * without a copy (the run must not read the same buffer); null allocates a new value.
   * @throws XPromptError after the release, which may be while the run waits for its turn
   */
  async run(
    feeds: Feeds,
    into?: Readonly<Record<string, Value | null>>,
  ): Promise<Readonly<Record<string, Value>>> {
    if (this.released) throw afterRelease();
    try {
      const results = into ? await this.session.run(feeds, { ...into }) : await this.session.run(feeds);
      return results as Record<string, Value>;
    } catch (error) {
      throw this.released ? afterRelease() : error;
    }
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
