/** @file Graphs that are compiled lazily, so that their peak memory is known before any session exists. */
import { exportOnnx, peakBytes, type Tensor } from "../../graph/index.ts";
import { Session } from "../../runtime/session.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";

/** A compiled graph. */
interface Compiled {
  release(): Promise<void>;
}

export class Plan<T extends Compiled> {
  /** Peak bytes of intermediate values during a run. */
  readonly bytes: number;
  private compiled?: Promise<T>;

  /**
   * @param outputs outputs of the graph, by name
   * @param finish wraps the compiled session
   */
  constructor(
    private readonly outputs: Readonly<Record<string, Tensor>>,
    private readonly finish: (session: Session) => T,
  ) {
    this.bytes = peakBytes(Object.values(outputs));
  }

  /** Compiles the graph at the first call. Later calls return the same session and ignore `options`. */
  compile(options: SessionOptions = {}): Promise<T> {
    this.compiled ??= Session.create(exportOnnx(this.outputs), options)
      .then(this.finish)
      .catch((error: unknown) => {
        this.compiled = undefined; // the next call tries again
        throw error;
      });
    return this.compiled;
  }

  /** Releases the session, if the graph was compiled. */
  async release(): Promise<void> {
    await (await this.compiled?.catch(() => undefined))?.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
