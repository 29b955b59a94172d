/** @file Where and how a session runs. */

export const devices = ["cpu", "webgpu", "cuda"] as const;
export type Device = (typeof devices)[number];

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
