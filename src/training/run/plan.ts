/** @file Graphs that are made before they are compiled: what they will need of memory is known before any is. */
import { exportOnnx, peakBytes, type Tensor } from "../../graph/index.ts";
import { Session } from "../../runtime/session.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";

/** What a compiled graph becomes, and can be let go of. */
interface Compiled {
  release(): Promise<void>;
}

export class Plan<T extends Compiled> {
  /** Bytes of intermediate values that a run holds at once, at most. */
  readonly bytes: number;
  private compiled?: Promise<T>;

  /**
   * @param outputs what the graph computes, by name
   * @param finish makes of the session what it is for
   */
  constructor(
    private readonly outputs: Readonly<Record<string, Tensor>>,
    private readonly finish: (session: Session) => T,
  ) {
    this.bytes = peakBytes(Object.values(outputs));
  }

  /** Compiles it when it is first asked for, with the options of then; what is compiled already is given again. */
  compile(options: SessionOptions = {}): Promise<T> {
    this.compiled ??= Session.create(exportOnnx(this.outputs), options)
      .then(this.finish)
      .catch((error: unknown) => {
        this.compiled = undefined; // the next call tries again
        throw error;
      });
    return this.compiled;
  }

  /** Releases what was compiled, if anything was. */
  async release(): Promise<void> {
    await (await this.compiled?.catch(() => undefined))?.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
